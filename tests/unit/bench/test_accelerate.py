import json
import re

import pytest

from modernbert.base.errors import ConfigError
from modernbert.bench.accelerate import _difference, measure
from modernbert.bench.cases import AccelerateCase
from modernbert.bench.peers import Embedder
from modernbert.cli.main import main
from modernbert.infer.pretrained import Pretrained
from tests.architecture.source import ROOT
from tests.corpora import texts, tokenizer, write_texts
from tests.nets import config_of, lively

pytestmark = [
    pytest.mark.slow,
    # Theirs warn of their own renaming.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model's folder, and a folder of nine texts."""
    made, tokens = tmp_path_factory.mktemp("bench"), tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    Pretrained(lively(config), tokens).save(made / "model")
    write_texts(made / "texts", texts(9, longest=40))
    return made


@pytest.mark.parametrize("order", ["given", "sorted"])
def test_a_row_is_measured(place, order):
    case = AccelerateCase(documents=6, batch_size=4, rounds=2, order=order)
    row = measure(place / "model", place / "texts", case)
    assert row["difference"] < 1e-5
    assert row["tokens"] > 0
    assert row["ratio_quartiles"][0] <= row["ratio"] <= row["ratio_quartiles"][1]
    assert 0 < row["real_share"] <= 1
    page = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", page.partition("`modernbert bench accelerate`")[2]))
    assert row.keys() - named == set()


def test_sorting_leaves_less_padding(place):
    given, ordered = (
        measure(
            place / "model",
            place / "texts",
            AccelerateCase(documents=8, batch_size=2, rounds=2, order=order),
        )
        for order in ("given", "sorted")
    )
    assert given["tokens"] == ordered["tokens"]
    assert given["real_share"] < ordered["real_share"]


def test_the_command_appends_a_row(place, tmp_path):
    arguments = ["bench", "accelerate", "--model", place / "model", "--texts", place / "texts"]
    sizes = ["--documents", "4", "--rounds", "2", "--longest", "8", "--precision", "bfloat16"]
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments), *sizes, "--out", str(tmp_path)])
    assert not caught.value.code
    (row,) = (tmp_path / "accelerate.jsonl").read_text().splitlines()
    found = json.loads(row)
    assert (found["precision"], found["longest"], found["model"]) == ("bfloat16", 8, "model")
    assert found["tokens"] <= 32


def test_what_does_not_agree_is_not_timed(place):
    case = AccelerateCase(documents=2)
    model = Embedder(place / "model", "float32", 0)
    calls = []

    def drift(_module, _given, found):
        calls.append(1)
        return found.roll(len(calls), -1)

    table = model.model.get_submodule("0.auto_model.embeddings.tok_embeddings")
    table.register_forward_hook(drift)
    with pytest.raises(ConfigError, match=r"differ by .*: nothing was timed"):
        _difference(model, [["the packed batch", "every token"]], case)


def test_too_few_texts_are_refused(place):
    with pytest.raises(ConfigError, match="texts has 9 texts, 96 are asked for: give more text"):
        measure(place / "model", place / "texts", AccelerateCase())


@pytest.mark.parametrize("given", [{"rounds": 1}, {"documents": 1}, {"longest": -1}])
def test_senseless_sizes_are_refused(given):
    with pytest.raises(ConfigError, match="rounds and documents are 2 or more"):
        AccelerateCase(**given)


def test_a_folder_without_a_model_is_a_sentence(place, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", "accelerate", "--model", str(place / "texts"), "--documents", "2"])
    assert caught.value.code == 2
    assert "config.json is missing" in capsys.readouterr().err.splitlines()[-1]
