import dataclasses
import json

import pytest
import torch
import yaml

from modernbert.base.errors import CheckpointError
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.source import is_file, open_source
from modernbert.infer.told import Told
from modernbert.model.config import HeadConfig
from modernbert.model.hf_config import to_hf
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import SentenceConfig, Splade
from tests import flexbert
from tests.corpora import tokenizer
from tests.flexbert import model_of, saved, settings_of, tensors_of
from tests.nets import batch_of
from tests.sentence_folders import made


@pytest.fixture
def model():
    return model_of()


def same(found, model):
    batch = batch_of([5, 40])
    with torch.no_grad():
        return torch.equal(found(batch), model(batch))


def test_a_composer_file_can_hold_everything(model, tmp_path):
    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    found = open_source(str(saved(content, tmp_path / "ep0.pt")), Told())
    # Dropouts and first weights play no part in what a model is.
    assert found.config == dataclasses.replace(model.config, init_std=found.config.init_std)
    assert found.tokenizer.fingerprint == tokenizer().fingerprint
    assert not found.training
    assert same(found, model)


def test_a_training_run_s_yaml_says_the_rest(model, tmp_path):
    path = saved(tensors_of(model), tmp_path / "weights.pt")
    run = {"model": {"model_config": settings_of(model.config)}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    tokenizer().save(tmp_path / "tokens", max_length=48)
    told = Told(config=tmp_path / "run.yaml", tokenizer=tmp_path / "tokens")
    found = open_source(str(path), told)
    assert found.config.max_length == 48
    assert same(found, model)
    longer = open_source(str(path), dataclasses.replace(told, max_length=64))
    assert longer.config == model.config


def test_a_pickled_hugging_face_folder_is_read_with_what_lies_beside(tmp_path):
    head = HeadConfig(kind="sequence", labels=("ham", "spam"), pooling="cls")
    model = model_of(head=head)
    keys = to_hf(model.config, dtype="float32", head=head)
    (tmp_path / "config.json").write_text(json.dumps(keys))
    tokenizer().save(tmp_path)
    names = tensors_of(model, prefix="")
    names = {n.replace("bert.", "model.").replace("encoder.", ""): x for n, x in names.items()}
    found = open_source(str(saved(names, tmp_path / "pytorch_model.bin")), Told())
    assert (found.config, found.head.config) == (model.config, head)
    assert same(found, model)
    bare = open_source(str(tmp_path / "pytorch_model.bin"), Told(headless=True))
    assert bare.head is None


def test_a_preset_says_the_rest(tmp_path):
    fields = {"dim": 128, "mlp_dim": 192, "num_layers": 4, "num_heads": 2, "local_window": 128}
    model = model_of(**fields, max_length=8192)
    path = str(saved(tensors_of(model), tmp_path / "weights.pt"))
    tokenizer().save(tmp_path)
    assert same(open_source(path, Told(preset="tiny")), model)
    assert same(open_source(path, Told()), model), "the one preset of this size is taken"
    with pytest.raises(CheckpointError, match="and was said to have"):
        open_source(path, Told(preset="base"))


def test_what_is_told_wins_over_what_the_file_says(model, tmp_path):
    settings = settings_of(model.config) | {"rotary_emb_base": 5e4}
    path = saved(flexbert.composer(model, settings, tokenizer()), tmp_path / "ep0.pt")
    assert open_source(str(path), Told()).config.global_rope_theta == 5e4
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings_of(model.config)))
    told = Told(config=tmp_path / "run.yaml")
    assert open_source(str(path), told).config.global_rope_theta == 160_000


def test_nothing_says_how_long_a_text_may_be(model, tmp_path):
    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    files = content["state"]["integrations"]["huggingface"]["tokenizer"]
    files["tokenizer_config"]["content"]["model_max_length"] = 10**30
    path = str(saved(content, tmp_path / "ep0.pt"))
    with pytest.raises(CheckpointError, match=r"how long a text .* reads: add --max-length, in"):
        open_source(path, Told())
    with pytest.raises(CheckpointError, match="--max-length 2 leaves no room for text: give 3 or"):
        open_source(path, Told(max_length=2))
    assert open_source(path, Told(max_length=99)).config.max_length == 99


def test_no_tokenizer_is_said(model, tmp_path):
    path = saved(flexbert.composer(model, settings_of(model.config)), tmp_path / "ep0.pt")
    with pytest.raises(CheckpointError, match="no tokenizer in or beside it: add --tokenizer FOL"):
        open_source(str(path), Told())


def test_a_tokenizer_with_more_ids_than_the_table_has_rows(tmp_path):
    small = model_of(vocab_size=64)
    content = flexbert.composer(small, settings_of(small.config), tokenizer())
    with pytest.raises(CheckpointError, match="has 512 ids, the model 64: they do not belong"):
        open_source(str(saved(content, tmp_path / "ep0.pt")), Told())


def test_a_folder_needs_nothing_told(model, tmp_path):
    Pretrained(model, tokenizer()).save(tmp_path / "model")
    place = str(tmp_path / "model")
    assert same(open_source(place, Told()), model)
    assert open_source(place, Told(headless=True)).head is None
    for told in (Told(preset="base"), Told(max_length=3), Told(config=tmp_path / "x.json")):
        with pytest.raises(CheckpointError, match=r"has a config\.json of its own: leave --config"):
            open_source(place, told)


def test_a_folder_can_be_given_another_copy_of_its_tokenizer(model, tmp_path):
    Pretrained(model, tokenizer()).save(tmp_path / "model")
    tokenizer().save(tmp_path / "tokens")
    (tmp_path / "model" / "tokenizer_config.json").unlink()
    found = open_source(str(tmp_path / "model"), Told(tokenizer=tmp_path / "tokens"))
    assert found.tokenizer.fingerprint == tokenizer().fingerprint


def test_files_are_told_from_hub_ids(tmp_path):
    (tmp_path / "a.pt").mkdir()
    (tmp_path / "weights").write_text("x")
    assert not is_file(str(tmp_path / "a.pt"))
    assert is_file(str(tmp_path / "weights"))
    assert is_file("gone/ep0-ba272000-rank0.pt")
    assert not is_file("owner/name")


def test_a_training_run_s_yaml_says_the_longest_text(model, tmp_path):
    path = saved(tensors_of(model), tmp_path / "weights.pt")
    run = {"max_seq_len": 40, "model": {"model_config": settings_of(model.config)}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    tokenizer().save(tmp_path / "tokens", max_length=48)
    told = Told(config=tmp_path / "run.yaml", tokenizer=tmp_path / "tokens")
    assert open_source(str(path), told).config.max_length == 40
    with pytest.raises(CheckpointError, match="--config and --preset both say a shape: leave one"):
        open_source(str(path), dataclasses.replace(told, preset="base"))


def test_an_activation_of_the_head_alone_is_read(model, tmp_path):
    settings = settings_of(model.config) | {"head_pred_act": "silu"}
    path = saved(flexbert.composer(model, settings, tokenizer()), tmp_path / "ep0.pt")
    assert open_source(str(path), Told()).head.config.activation == "silu"


def test_weights_that_are_no_numbers_are_refused_by_the_file(model, tmp_path):
    with torch.no_grad():
        model.head.norm.weight[3] = torch.nan
    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    with pytest.raises(CheckpointError, match=r"ep0.pt: head.norm.weight holds NaN or Inf"):
        open_source(str(saved(content, tmp_path / "ep0.pt")), Told())


def test_a_broken_tokenizer_inside_a_file_is_said_to_be_there(model, tmp_path):
    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    files = content["state"]["integrations"]["huggingface"]["tokenizer"]
    files["tokenizer"]["content"] = {"model": {}}
    with pytest.raises(CheckpointError, match=r"the tokenizer inside .*ep0.pt cannot be read: add"):
        open_source(str(saved(content, tmp_path / "ep0.pt")), Told())


def test_a_folder_may_lack_a_tokenizer_that_is_told(tmp_path):
    made().save(tmp_path / "model")
    for path in (tmp_path / "model").glob("tokenizer*"):
        path.unlink()
    tokenizer().save(tmp_path / "tokens")
    found = open_source(str(tmp_path / "model"), Told(tokenizer=tmp_path / "tokens"))
    assert found.tokenizer.fingerprint == tokenizer().fingerprint


def test_a_sparse_encoder_keeps_its_head(tmp_path):
    sparse = made()
    sparse.sentence = Sentence(SentenceConfig(max_length=64, steps=(Splade(),)))
    sparse.save(tmp_path / "model")
    with pytest.raises(
        CheckpointError, match="makes its vectors of what its head says: leave --he"
    ):
        open_source(str(tmp_path / "model"), Told(headless=True))
