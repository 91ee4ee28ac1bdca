import json
from dataclasses import replace

import pytest

from modernbert.base.errors import ConfigError
from modernbert.bench.cases import EmbeddingCase
from modernbert.bench.embedding import THEIRS, measure
from modernbert.bench.runtimes import OURS
from modernbert.cli.main import main
from modernbert.infer.pretrained import Pretrained
from tests.corpora import texts, tokenizer, write_texts
from tests.nets import config_of, lively


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of two models, and of nine texts, one of which spells special tokens out."""
    made, tokens = tmp_path_factory.mktemp("bench"), tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    Pretrained(lively(config), tokens).save(made / "model")
    Pretrained(lively(replace(config, dim=48, mlp_dim=64)), tokens).save(made / "other")
    write_texts(made / "texts", [*texts(8, longest=40), "the [MASK] and the [SEP] apart"])
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("case", "precision"), [("given", "bfloat16"), ("queries", "float32")])
def test_the_command_appends_a_row(place, tmp_path, case, precision):
    asked = ["bench", "embedding", place / "model", "--texts", place / "texts", "--case", case]
    asked += ["--beside", place / "other"]
    sizes = ["--documents", "9", "--rounds", "2", "--precision", precision, "--out", tmp_path]
    with pytest.raises(SystemExit) as caught:
        main([*map(str, asked), *map(str, sizes)])
    assert not caught.value.code
    (row,) = map(json.loads, (tmp_path / "embedding.jsonl").read_text().splitlines())
    assert (row["model"], row["documents"], row["case"]) == ("model", 9, case)
    assert row["sides"][OURS]["seconds"] > 0
    assert row["sides"][THEIRS]["ours_is_faster"] > 0, row["sides"]
    assert row["sides"][THEIRS]["largest_difference"] < (1e-4 if precision == "float32" else 0.1)
    other = row["sides"][f"{place.name}/other by {THEIRS}"]
    assert other["ours_is_faster"] > 0
    assert "largest_difference" not in other


@pytest.mark.slow
def test_dealt_texts_are_each_embedded_once(place):
    case = EmbeddingCase(case="given", documents=9, rounds=2, deal=True)
    assert sorted(map(len, case.parts([str(number) for number in range(9)]))) == [4, 5]
    row = measure(place / "model", place / "texts", case)
    side = row["sides"][OURS]
    assert row["ours_tokens_per_second"] == pytest.approx(
        row["tokens"] / 2 / side["seconds"], rel=1e-2
    )
    assert row["sides"][THEIRS]["largest_difference"] < 1e-4


@pytest.mark.slow
def test_a_model_is_known_by_its_name(place, monkeypatch):
    monkeypatch.setattr("modernbert.bench.embedding.folder_of", lambda _: place / "model")
    row = measure("small", place / "texts", EmbeddingCase(case="given", documents=9, rounds=2))
    assert row["model"] == "small"
    assert row["sides"][THEIRS]["largest_difference"] < 1e-4


def test_fewer_texts_than_parts_are_refused():
    with pytest.raises(ConfigError, match="4 texts cannot be dealt into 5 parts: lower rounds"):
        EmbeddingCase(case="given", documents=4, deal=True)


def test_too_few_texts_are_refused(place):
    with pytest.raises(ConfigError, match="texts has 9 texts, 256 are asked for: give more text"):
        measure(place / "model", place / "texts", EmbeddingCase(case="given"))


def test_senseless_sizes_are_refused():
    for fields in ({"rounds": 1}, {"documents": -1}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match="rounds is 2 or more, a batch 1 or more, and doc"):
            EmbeddingCase(**fields)
