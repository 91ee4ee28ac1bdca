import json
import os
import subprocess
import sys

import pytest
import torch

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError, DataError, MachineError
from modernbert.batch import pack
from modernbert.infer.fill import fill
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model import folder
from tests.corpora import tokenizer
from tests.nets import config_of, lively

MODEL_FILES = (
    "1_Pooling",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
PACK = """
from modernbert import pack
from modernbert.base.errors import DataError
for ids in ([1.5, 2.0], [[1, 5], [6, 2]], 7, ["a"], [None]):
    try:
        pack([[1], ids])
    except DataError as error:
        print(str(error).splitlines()[0])
"""
LOAD = """
import sys
from modernbert.base.errors import CheckpointError
from modernbert import load
try:
    load(sys.argv[1])
except CheckpointError as error:
    print(error)
"""


def made(**fields) -> Pretrained:
    tokens = tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(**({"vocab_size": tokens.vocab_size, "max_length": 64} | ids | fields))
    return Pretrained(lively(config).eval(), tokens)


@pytest.fixture(scope="module")
def model() -> Pretrained:
    return made()


def test_a_saved_model_comes_back(model, tmp_path):
    model.save(tmp_path / "model")
    again = modernbert.load(tmp_path / "model")
    assert again.config == model.config
    assert again.tokenizer.fingerprint == model.tokenizer.fingerprint
    assert not again.training
    batch = modernbert.pack([[1, 9, 30, 2], [1, 2]])
    with torch.no_grad():
        assert torch.equal(again(batch), model(batch))
        assert again.encoder(batch).shape == (6, model.config.dim)
        assert again(batch).shape == (6, model.config.vocab_size)


def test_a_path_may_be_a_string_and_saving_replaces_the_model_alone(model, tmp_path):
    target = tmp_path / "model"
    made().save(target)
    (target / "README.md").write_text("mine")
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (target / name).write_text("an older model's")
    model.save(str(target))
    names = sorted(path.name for path in target.iterdir())
    assert names == sorted(MODEL_FILES)
    assert (target / "README.md").read_text() == "mine"
    assert load(str(target)).head is not None


@pytest.mark.parametrize("config", ['{"my": "project"}', "[1"])
def test_a_project_with_a_config_json_is_not_replaced(model, tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ConfigError, match="holds files that are no model"):
        model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_checkpoint_is_not_replaced(model, tmp_path):
    model.save(tmp_path / "step")
    (tmp_path / "step" / "trainer").mkdir()
    with pytest.raises(ConfigError, match="or a checkpoint that a run needs"):
        model.save(tmp_path / "step")


def test_a_file_in_the_way_stays(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(
        MachineError, match=r"thesis\.txt cannot be written: .*thesis\.txt is a file and no folder"
    ):
        model.save(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_tokenizer_of_another_model_is_refused(model, tmp_path):
    model.save(tmp_path)
    keys = json.loads((tmp_path / "config.json").read_text())
    moved = {"pad_token_id": 9, "cls_token_id": 10, "sep_token_id": 11}
    (tmp_path / "config.json").write_text(json.dumps(keys | moved))
    with pytest.raises(CheckpointError, match=r"config\.json at \(9, 10, 11\): they do not belong"):
        load(tmp_path)
    one = {"pad_token_id": 9, "cls_token_id": 10}
    (tmp_path / "config.json").write_text(json.dumps(keys | one))
    load(tmp_path)


def test_a_tokenizer_larger_than_its_model_is_refused(model, tmp_path):
    model.save(tmp_path)
    small = made(vocab_size=64)
    folder.write(small.model, tmp_path)
    with pytest.raises(CheckpointError, match=r"has 512 ids, the model 64: they do not belong"):
        load(tmp_path)


def test_ids_outside_the_vocabulary_are_said(model):
    with pytest.raises(DataError, match="token ids run from 3 to 99999, the vocabulary has 512"):
        model(pack([[3, 99999]]))
    with pytest.raises(DataError, match="token ids run from -1 to 3"):
        model.encoder(pack([[-1, 3]]))


@pytest.mark.slow
def test_what_is_no_list_of_ids_is_not_packed():
    """In a process of its own: here, tests check types before the function can."""
    done = subprocess.run([sys.executable, "-c", PACK], capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert len(said) == 5
    assert all(line.startswith("document 1 is no list of token ids: ") for line in said), said


def test_what_is_no_unicode_is_not_encoded(model):
    with pytest.raises(DataError, match="the text is no Unicode at character 2: give it in UTF-8"):
        fill(model, "a \udcff [MASK]")


@pytest.mark.slow
def test_public_names_can_be_completed():
    done = subprocess.run(
        [sys.executable, "-c", "import modernbert; print(*dir(modernbert))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"load", "pack", "fill", "accelerate"} <= set(done.stdout.split())


def test_a_folder_of_other_things_is_not_replaced(model, tmp_path, monkeypatch):
    (tmp_path / "thesis.tex").write_text("years")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="holds files that are no model"):
        model.save(".")
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_a_bare_encoder_has_no_head(tmp_path):
    bare = made()
    bare.model.head = None
    bare.save(tmp_path / "bare")
    again = load(tmp_path / "bare")
    assert again.head is None
    batch = modernbert.pack([[1, 9, 2]])
    with torch.no_grad():
        assert torch.equal(again(batch), bare.encoder(batch))
    with pytest.raises(ConfigError, match=r"has no masked-LM head, so it cannot fill \[MASK\]"):
        fill(again, "the [MASK]")


@pytest.mark.parametrize("name", ["onx", None])
def test_an_unknown_runtime_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=f"^runtime is '{name}': "):
        load(tmp_path, runtime=name)


@pytest.mark.parametrize("path", ["/no/such", "./no", "../no/such", "~/no", "a/b/c", "a b", "x//y"])
def test_a_path_that_is_not_there_is_named(path):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert str(caught.value) == f"there is no folder {path}, and it is no hub id (owner/name)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}],
)
def test_a_hub_out_of_reach_is_said(network, tmp_path):
    environment = os.environ | {"HF_HOME": str(tmp_path)} | network
    done = subprocess.run(
        [sys.executable, "-c", LOAD, "nobody/nothing"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.stdout == (
        "nobody/nothing is neither a folder nor whole in the hub's cache, and the hub is out of "
        "reach: check the path, or the network\n"
    )
    assert "Traceback" not in done.stderr


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json is missing: give a folder that holds"):
        load(tmp_path)


def test_masks_are_filled_in_their_order(model):
    guesses = fill(model, "the [MASK] batch keeps [MASK] apart", top=3)
    assert [len(each) for each in guesses] == [3, 3]
    for candidates in guesses:
        shares = [each.probability for each in candidates]
        assert shares == sorted(shares, reverse=True)
        assert 0 < shares[-1] <= shares[0] <= 1
    ids = model.tokenizer.encode("the [MASK] batch keeps [MASK] apart").tolist()
    with torch.no_grad():
        logits = model(modernbert.pack([ids]))
    first = ids.index(model.tokenizer.mask_id)
    assert guesses[0][0].token == model.tokenizer.decode([int(logits[first].argmax())])


def test_all_candidates_can_be_asked_for(model):
    (candidates,) = fill(model, "[MASK]", top=10_000)
    assert len(candidates) == model.config.vocab_size
    assert sum(each.probability for each in candidates) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "top", "error", "message"),
    [
        ("no mask", 5, DataError, "the text has no [MASK]: write [MASK] where a token is to be"),
        ("", 5, DataError, "the text has no [MASK]"),
        ("[MASK]", 0, ConfigError, "top is 0: ask for at least 1 candidate"),
        ("[MASK] " + "@" * 100, 5, DataError, " tokens, the model reads 64: shorten it"),
    ],
)
def test_what_cannot_be_filled_is_refused(model, text, top, error, message):
    with pytest.raises(error) as caught:
        fill(model, text, top)
    assert message in str(caught.value)


@pytest.mark.slow
def test_public_names_cost_nothing_until_they_are_used():
    code = (
        "import sys, modernbert\n"
        "assert 'torch' not in sys.modules\n"
        "for name in modernbert.__all__: getattr(modernbert, name)\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'modernbert' has no attribute 'lode'"):
        modernbert.lode  # noqa: B018
