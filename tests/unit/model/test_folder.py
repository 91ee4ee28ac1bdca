import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from modernbert.base.errors import CheckpointError
from modernbert.model import folder, stored
from modernbert.model.config import MASKED_LM
from tests.nets import batch_of, config_of, lively


@pytest.fixture
def saved(tmp_path):
    model = lively(config_of())
    folder.write(model, tmp_path)
    return tmp_path


def change(path, rename=lambda name: name, drop=(), **tensors):
    found = load_file(path / stored.WEIGHTS) | tensors
    kept = {rename(name): x for name, x in found.items() if name not in drop}
    save_file(kept, path / stored.WEIGHTS, metadata={"format": "pt"})


def same_logits(path, model):
    batch = batch_of([5, 80])
    return torch.equal(folder.read(path)(batch), model(batch))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head", [MASKED_LM, None])
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_written_reads_back(tmp_path, dtype, head, tied):
    model = lively(config_of(tie_embeddings=tied), head=head).to(dtype)
    folder.write(model, tmp_path)
    back = folder.read(tmp_path)
    assert back.config == model.config == folder.read_config(tmp_path)
    assert {p.dtype for p in back.parameters()} == {dtype}
    assert same_logits(tmp_path, model)


def test_the_file_holds_hugging_face_s_names_and_nothing_twice(saved):
    with safe_open(saved / stored.WEIGHTS, framework="pt") as file:
        names = set(file.keys())
        assert file.metadata() == {"format": "pt"}
    assert "model.layers.0.attn.Wqkv.weight" in names
    assert {"head.dense.weight", "head.norm.weight", "decoder.bias"} <= names
    assert "decoder.weight" not in names
    assert not [name for name in names if "rope" in name or "inv_freq" in name]
    assert "model.layers.0.attn_norm.weight" not in names


def test_names_without_the_prefix_are_read(saved):
    change(saved, rename=lambda name: name.removeprefix("model."))
    assert same_logits(saved, lively(config_of()))


def test_a_tied_decoder_in_the_file_is_accepted(saved):
    table = load_file(saved / stored.WEIGHTS)["model.embeddings.tok_embeddings.weight"]
    change(saved, **{"decoder.weight": table.clone()})
    assert same_logits(saved, lively(config_of()))


def test_a_classifier_s_folder_gives_its_head(saved):
    keys = json.loads((saved / "config.json").read_text())
    keys["architectures"] = ["ModernBertForSequenceClassification"]
    (saved / "config.json").write_text(json.dumps(keys))
    added = {"classifier.weight": torch.zeros(2, 32), "classifier.bias": torch.ones(2)}
    change(saved, drop=["decoder.bias"], **added)
    model = folder.read(saved)
    assert model.head_config.labels == ("LABEL_0", "LABEL_1")
    assert torch.equal(model(batch_of([5, 80])), torch.ones(2, 2))


def test_shards_are_read(saved):
    found = load_file(saved / stored.WEIGHTS)
    (saved / stored.WEIGHTS).unlink()
    weight_map = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(found)}
    for part in set(weight_map.values()):
        save_file({n: x for n, x in found.items() if weight_map[n] == part}, saved / part)
    (saved / stored.INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert same_logits(saved, lively(config_of()))
    (saved / "part-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"part-1.safetensors is missing: .* names it"):
        folder.read(saved)


def test_a_folder_without_a_config_is_no_model(tmp_path):
    with pytest.raises(CheckpointError, match=r"config.json is missing: give a folder that holds"):
        folder.read(tmp_path)


@pytest.mark.parametrize(("text", "sentence"), [("{", "is not JSON"), ("[]", "JSON object")])
def test_a_broken_config_is_named(saved, text, sentence):
    (saved / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=sentence):
        folder.read(saved)


def test_a_folder_without_weights_says_what_it_would_read(saved):
    (saved / stored.WEIGHTS).rename(saved / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"make one by `modernbert convert \S+pytorch_model.bin DST`"
    ):
        folder.read(saved)
    (saved / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"has no model.safetensors: give a folder with"):
        folder.read(saved)


@pytest.mark.parametrize("size", [4, 1000])
def test_a_truncated_file_is_named(saved, size):
    whole = (saved / stored.WEIGHTS).read_bytes()
    (saved / stored.WEIGHTS).write_bytes(whole[:size])
    with pytest.raises(CheckpointError, match=r"model.safetensors is broken"):
        folder.read(saved)


def test_missing_tensors_are_named(saved):
    change(saved, drop=["model.layers.1.mlp.Wi.weight", "model.final_norm.weight"])
    with pytest.raises(CheckpointError, match=r"lacks 2 tensors .* final_norm.weight, layers.1"):
        folder.read(saved)


def test_long_lists_are_cut(saved):
    change(saved, rename=lambda name: f"other.{name}")
    with pytest.raises(CheckpointError, match=r"lacks \d\d tensors .*, \.\.\.$"):
        folder.read(saved)


def test_layers_the_config_does_not_know_are_named(saved):
    change(saved, **{"model.layers.7.mlp.Wi.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"1 tensors .* not know: layers.7.mlp.Wi.weight"):
        folder.read(saved)


def test_tensors_that_no_part_of_the_model_uses_are_named(saved):
    change(saved, **{"extra.weight": torch.zeros(1)})
    with pytest.warns(
        UserWarning, match=r"has 1 tensors that this model does not use: extra\.weig"
    ):
        folder.read(saved)


def test_a_decoder_that_is_tied_and_differs_is_refused(saved):
    table = load_file(saved / stored.WEIGHTS)["model.embeddings.tok_embeddings.weight"]
    change(saved, **{"decoder.weight": table + 1})
    with pytest.raises(CheckpointError, match=r"decoder\.weight differs from them: set tie_word_"):
        folder.read(saved)


def test_a_tensor_that_is_there_twice_and_differs_is_refused(saved):
    weight = load_file(saved / stored.WEIGHTS)["model.final_norm.weight"]
    change(saved, **{"final_norm.weight": weight.clone()})
    folder.read(saved)
    change(saved, **{"final_norm.weight": weight + 1})
    with pytest.raises(CheckpointError, match=r"final_norm\.weight twice, .* remove the wrong one"):
        folder.read(saved)


def test_wrong_shapes_are_named(saved):
    change(saved, **{"model.final_norm.weight": torch.ones(31)})
    with pytest.raises(CheckpointError, match=r"final_norm.weight has shape \[31\], .* \[32\]"):
        folder.read(saved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_headers_are_read_without_weights(saved, dtype):
    model = lively(config_of()).to(dtype)
    folder.write(model, saved)
    found = stored.headers(saved)
    sizes = {name: weight.shape for name, weight in model.named_parameters()}
    assert {folder.hf_name(name): size for name, size in sizes.items()} == {
        name: header.shape for name, header in found.items()
    }
    assert {(header.dtype, header.device.type) for header in found.values()} == {(dtype, "meta")}


def test_headers_of_a_truncated_file_are_refused(saved):
    whole = (saved / stored.WEIGHTS).read_bytes()
    (saved / stored.WEIGHTS).write_bytes(whole[:1000])
    with pytest.raises(CheckpointError, match=r"model.safetensors is broken"):
        stored.headers(saved)


def test_headers_of_a_strange_format_are_refused(saved):
    change(saved, **{"model.final_norm.weight": torch.ones(32).to(torch.float8_e4m3fn)})
    with pytest.raises(
        CheckpointError, match=r"final_norm.weight is stored as F8_E4M3, and only F"
    ):
        stored.headers(saved)
