import dataclasses
import json

import pytest

from modernbert.model import folder
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.grow import grow
from modernbert.model.hf_kept import TAGS_TOKENS, TEXT_COLUMNS, tags_tokens, text_columns
from modernbert.model.init import with_head
from modernbert.model.vocabulary import resize, swap
from tests.nets import config_of, lively

UNUSED = {
    "attention_dropout": 0.1,
    "bos_token_id": 7,
    "eos_token_id": 8,
    "deterministic_flash_attn": True,
    "sparse_prediction": True,
    "sparse_pred_ignore_index": -1,
}
NOTES = {"license_note": "ours", "languages": ["de", "fr"]}
SCORED = HeadConfig(kind="sequence", labels=("a", "b"), pooling="cls")


def rewritten(path, head=MASKED_LM, **keys):
    """Write a model, change its config.json, read it and write it again; return what it says."""
    folder.write(lively(config_of(), head=head), path / "one")
    config = path / "one" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | keys))
    return said_by(folder.read(path / "one"), path / "two")


def said_by(model, place):
    folder.write(model, place)
    return json.loads((place / "config.json").read_text())


@pytest.mark.parametrize("head", [MASKED_LM, None, SCORED])
def test_what_is_not_computed_with_is_written_again(tmp_path, head):
    said = rewritten(tmp_path, head, **UNUSED, **NOTES)
    assert {key: said[key] for key in (*UNUSED, *NOTES)} == UNUSED | NOTES


def test_what_is_computed_with_is_written_by_the_model(tmp_path):
    before = rewritten(tmp_path)
    after = rewritten(
        tmp_path, classifier_activation="gelu", model_type="modernbert", norm_eps=1e-5
    )
    assert before == after


@pytest.mark.parametrize("key", ["auto_map", "quantization_config", "_name_or_path", "rope_theta"])
def test_what_speaks_of_one_file_stays_behind(tmp_path, key):
    assert key not in rewritten(tmp_path, **{key: {"AutoModel": "code.Model"}})


@pytest.mark.parametrize("value", [None, "much", [1], True])
def test_a_value_of_another_type_is_replaced(tmp_path, value):
    said = rewritten(tmp_path, attention_dropout=value, attention_out_dropout=0.0)
    assert said["attention_dropout"] == 0.0


def test_a_bare_encoder_keeps_how_a_head_would_pool(tmp_path):
    said = rewritten(tmp_path, None, classifier_pooling="cls", classifier_dropout=0.2)
    assert (said["classifier_pooling"], said["classifier_dropout"]) == ("cls", 0.2)


def test_a_head_says_itself_how_it_pools(tmp_path):
    rewritten(tmp_path, None, classifier_pooling="mean")
    model = folder.read(tmp_path / "two")
    model.head = lively(config_of(), head=SCORED).head
    assert said_by(model, tmp_path / "three")["classifier_pooling"] == "cls"


@pytest.mark.parametrize("keys", [{"problem_type": None}, {}])
def test_what_is_left_to_the_labels_stays_unsaid(tmp_path, keys):
    head = HeadConfig(kind="sequence", labels=("score",), problem="regression")
    folder.write(lively(config_of(), head=head), tmp_path / "zero")
    config = tmp_path / "zero" / "config.json"
    said = json.loads(config.read_text())
    del said["problem_type"]
    config.write_text(json.dumps(said | keys))
    model = folder.read(tmp_path / "zero")
    assert model.head_config.problem == "regression"
    assert "problem_type" not in said_by(model, tmp_path / "one")
    other = with_head(model, dataclasses.replace(head, problem="multi_label"), 0)
    assert said_by(other, tmp_path / "two")["problem_type"] == "multi_label_classification"


def test_a_head_that_is_taken_off_leaves_no_labels(tmp_path):
    rewritten(tmp_path, SCORED)
    model = folder.read(tmp_path / "two")
    model.head = None
    assert (
        not {"id2label", "num_labels", "problem_type"} & said_by(model, tmp_path / "three").keys()
    )


def test_models_made_of_others_keep_it_and_drop_ids_of_another_vocabulary(tmp_path):
    rewritten(tmp_path, **UNUSED, **NOTES)
    model = folder.read(tmp_path / "two")
    rows = [(row,) for row in range(96)]
    ids = {"pad_id": 0, "cls_id": 1, "sep_id": 2}
    same = [resize(model, 128), grow(model, config_of(), range(4))]
    for number, made in enumerate(same):
        said = said_by(made, tmp_path / f"same{number}")
        assert {key: said[key] for key in (*UNUSED, *NOTES)} == UNUSED | NOTES
    said = said_by(swap(model, rows, 96, **ids), tmp_path / "swapped")
    assert (said["bos_token_id"], said["eos_token_id"]) == (1, 2)
    assert said["attention_dropout"] == 0.1


def test_notes_of_a_head_are_kept_until_it_is_another(tmp_path):
    model = lively(config_of(), head=SCORED)
    model.kept = {"note": 1, TEXT_COLUMNS: ["first", "second"], TAGS_TOKENS: True}
    assert said_by(model, tmp_path / "one")["modernbert_text_columns"] == ["first", "second"]
    again = folder.read(tmp_path / "one")
    assert text_columns(again.kept) == ("first", "second")
    assert text_columns(with_head(again, MASKED_LM, 0).kept) == ()
    assert with_head(again, MASKED_LM, 0).kept["note"] == 1
    assert tags_tokens(again.kept)
    assert not tags_tokens(with_head(again, MASKED_LM, 0).kept)


@pytest.mark.parametrize("said", [None, "text", [], ["a", "b", "c"], [1], {"text": "a"}])
def test_notes_of_columns_that_say_nothing_are_ignored(said):
    assert text_columns({"modernbert_text_columns": said}) == ()
