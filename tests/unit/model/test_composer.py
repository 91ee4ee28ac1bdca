import dataclasses

import pytest
import torch

from modernbert.base.errors import CheckpointError
from modernbert.model import composer, config_file
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.init import build
from modernbert.model.presets import PRESETS
from tests import flexbert
from tests.flexbert import model_of, saved, settings_of, tensors_of
from tests.nets import batch_of

TABLE = "model.bert.embeddings.tok_embeddings.weight"


FORMS = ["composer", "bare", "unwrapped", "hugging face", "lightning", "compiled", "sharded"]


@pytest.fixture
def model():
    return model_of()


def read(content, tmp_path):
    return composer.read(saved(content, tmp_path / "weights.pt"))


def same(one, other):
    batch = batch_of([5, 40])
    return torch.equal(one(batch), other(batch))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_model(model, tmp_path, form):
    content = {
        "lightning": {"epoch": 3, "state_dict": tensors_of(model, prefix="model.model.")},
        "compiled": {
            name.replace(".layers.0.", ".layers.0._orig_mod."): tensor
            for name, tensor in tensors_of(model, prefix="_orig_mod.module.").items()
        },
        "sharded": {
            "optimizer": {},
            "model_state_dict": {
                name.replace(".attn.", "._fsdp_wrapped_module._checkpoint_wrapped_module.attn."): x
                for name, x in tensors_of(model).items()
            },
        },
        "composer": flexbert.composer(model),
        "bare": tensors_of(model),
        "unwrapped": tensors_of(model, prefix=""),
        "hugging face": {
            name.replace("bert.", "model.").replace("encoder.", ""): tensor
            for name, tensor in tensors_of(model, prefix="").items()
        },
    }[form]
    found = read(content, tmp_path)
    assert composer.head_of(found) == MASKED_LM
    assert same(composer.build(found, model.config, MASKED_LM), model)


@pytest.mark.parametrize(
    "fields",
    [
        {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "head_bias": True},
        {"tie_embeddings": False},
        {"decoder_bias": False},
    ],
)
def test_biases_and_an_untied_decoder_are_seen(tmp_path, fields):
    model = model_of(**fields)
    found = read(tensors_of(model), tmp_path)
    seen = composer.like(found, dataclasses.replace(model_of().config, vocab_size=7))
    assert seen == model.config
    assert same(composer.build(found, seen, MASKED_LM), model)


def test_a_model_without_a_head(tmp_path):
    bare = model_of(head=None)
    found = read(tensors_of(bare), tmp_path)
    assert composer.head_of(found) is None
    assert composer.like(found, bare.config) == bare.config
    assert same(composer.build(found, bare.config, None), bare)


def test_the_head_can_be_left_out(model, tmp_path):
    found = read(flexbert.composer(model), tmp_path)
    assert torch.equal(
        composer.build(found, model.config, None)(batch_of([9])), model.encoder(batch_of([9]))
    )


def test_bfloat16_stays(model, tmp_path):
    found = read(tensors_of(model.to(torch.bfloat16)), tmp_path)
    again = composer.build(found, model.config, MASKED_LM)
    assert {weight.dtype for weight in again.parameters()} == {torch.bfloat16}


def test_rotary_buffers_are_made_anew(model, tmp_path):
    buffer = {"model.bert.encoder.layers.0.attn.rotary_emb.inv_freq": torch.ones(8)}
    found = read(tensors_of(model) | buffer, tmp_path)
    assert same(composer.build(found, model.config, MASKED_LM), model)


def test_settings_and_tokenizer_come_with_the_file(model, tmp_path):
    from tests.corpora import tokenizer

    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    found = read(content, tmp_path)
    assert config_file.to_config(found.settings).num_heads == 2
    assert {"tokenizer.json", "tokenizer_config.json"} <= found.tokenizer.keys()
    assert found.tokenizer["tokenizer_config.json"]["model_max_length"] == 64


def changed(model, drop=(), **tensors):
    kept = {name: x for name, x in tensors_of(model).items() if not name.endswith(drop)}
    return kept | {f"model.{name.replace('__', '.')}": x for name, x in tensors.items()}


@pytest.mark.parametrize(
    ("drop", "added", "sentence"),
    [
        (("layers.1.mlp.Wi.weight",), {}, r"lacks 1 tensors .* \(layers\.1\.mlp\.Wi\.weight\): "),
        (
            (),
            {"bert__pooler__weight": torch.ones(2)},
            r"has 1 tensors that no .* \(pooler\.weight\)",
        ),
        (
            ("final_norm.weight",),
            {"bert__final_norm__weight": torch.ones(31)},
            r"final_norm\.weight has shape \[31\], a model of this config has \[32\]: give",
        ),
        (
            ("decoder.weight",),
            {"decoder__weight": torch.ones(512, 32)},
            r"1 tensors that no .* \(decoder\.weight\): give",
        ),
    ],
)
def test_every_tensor_is_accounted_for(model, tmp_path, drop, added, sentence):
    found = read(changed(model, drop, **added), tmp_path)
    with pytest.raises(CheckpointError, match=sentence):
        composer.build(found, model.config, MASKED_LM)


@pytest.mark.parametrize(
    "content",
    [
        {"bert.encoder.layer.0.attention.self.query.weight": torch.ones(2, 2)},
        {TABLE: torch.ones(2), "layers.0.mlp.Wo.weight": torch.ones(2, 2)},
        {TABLE: torch.ones(2, 2), TABLE.removeprefix("model."): torch.ones(2, 2)},
        {},
    ],
)
def test_other_models_are_named(tmp_path, content):
    with pytest.raises(CheckpointError, match="holds no ModernBERT, but "):
        read(content, tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(2), {3: torch.ones(2)}])
def test_what_holds_no_tensors_is_named(tmp_path, content):
    with pytest.raises(CheckpointError, match="holds neither a Composer checkpoint nor tensors by"):
        read(content, tmp_path)


def test_a_config_of_another_shape_is_refused(model, tmp_path):
    found = read(tensors_of(model), tmp_path)
    with pytest.raises(CheckpointError, match=r"num_layers \(32, 48, 4\), and was said to have \("):
        composer.like(found, PRESETS["tiny"])


def test_a_size_that_one_preset_has_is_enough(tmp_path):
    small = dataclasses.replace(PRESETS["tiny"], vocab_size=64, pad_id=0, cls_id=1, sep_id=2)
    found = read(tensors_of(build(small, 0)), tmp_path)
    assert composer.of_this_size(found) == PRESETS["tiny"]


def test_a_size_of_several_presets_is_asked_about(model, tmp_path):
    with pytest.raises(CheckpointError, match="is that of no preset: give --config FILE or --pre"):
        composer.of_this_size(read(tensors_of(model), tmp_path))
    tensors = {
        TABLE: torch.empty(8, 768),
        **{
            f"model.bert.encoder.layers.{i}.mlp.Wo.weight": torch.empty(768, 1152)
            for i in range(22)
        },
    }
    with pytest.raises(CheckpointError, match="that of modernbert-base and ettin-150m: give"):
        composer.of_this_size(read(tensors, tmp_path))


def test_a_classifier_needs_a_config(tmp_path):
    head = HeadConfig(kind="sequence", labels=("a", "b"))
    found = read(tensors_of(model_of(head=head)), tmp_path)
    with pytest.raises(
        CheckpointError, match="holds a classifier, and nothing says how it is read"
    ):
        composer.head_of(found)
