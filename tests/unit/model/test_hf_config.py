import pytest
import torch

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.kernels.scaling import RopeScaling
from modernbert.model.config import MASKED_LM
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.hf_head import head_from_hf
from modernbert.model.presets import PRESETS
from tests.nets import config_of

OFFICIAL = {
    "model_type": "modernbert",
    "vocab_size": 50368,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "local_rope_theta": 10000.0,
    "local_attention": 128,
    "classifier_pooling": "mean",
    "torch_dtype": "float32",
}
LINEAR = {"rope_type": "linear", "factor": 2.0}
YARN = {"rope_type": "yarn", "factor": 2.0}


def written(config):
    return to_hf(config, dtype="float32", head=MASKED_LM)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_trip(name):
    assert from_hf(written(PRESETS[name])) == PRESETS[name]


@pytest.mark.parametrize(
    "fields",
    [
        {"global_every": 1},
        {"global_every": 3, "num_layers": 2},
        {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "head_bias": True},
        {"activation": "gelu_tanh", "attention_out_dropout": 0.1, "init_cutoff": 3.0},
    ],
)
def test_what_the_layers_do_survives_the_trip(fields):
    config = config_of(**fields)
    assert from_hf(written(config)) == config


def test_stretched_positions_are_written_for_both_generations():
    scaling = RopeScaling(kind="yarn", factor=4.0, original_length=64, attention_factor=1.5)
    config = config_of(global_rope_scaling=scaling, local_rope_scaling=scaling)
    keys = written(config)
    assert keys["rope_scaling"] == {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "attention_factor": 1.5,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
    }
    assert from_hf(keys) == config
    old = {name: value for name, value in keys.items() if name != "rope_parameters"}
    assert from_hf(old) == config
    assert "rope_scaling" not in written(config_of())


@pytest.mark.parametrize(
    ("keys", "activation"),
    [
        ({"classifier_activation": "silu"}, "silu"),
        ({"hidden_activation": "gelu_new", "classifier_activation": "gelu_pytorch_tanh"}, None),
        # What is not said is gelu, in the head as in the layers.
        ({"hidden_activation": "relu"}, "gelu"),
    ],
)
def test_the_head_has_its_own_activation(keys, activation):
    found = {"head.dense.weight": torch.zeros(2, 2)}
    head = head_from_hf(keys, found)
    assert head is not None
    assert head.activation == activation
    config = from_hf(OFFICIAL | keys)
    again = to_hf(config, dtype="float32", head=head)
    assert head_from_hf(again, found) == head
    with pytest.raises(CheckpointError, match="classifier_activation 'tanh': known are gelu, "):
        head_from_hf({"classifier_activation": "tanh"}, found)


@pytest.mark.parametrize("told", [None, 0, -3])
@pytest.mark.parametrize("kinds", [("global",) * 3, ("global", "local", "local")])
def test_a_pattern_that_repeats_is_read_as_such(kinds, told):
    keys = written(config_of(layer_kinds=kinds)) | {"global_attn_every_n_layers": told}
    back = from_hf(keys)
    assert back.layer_kinds == ()
    assert [back.is_global(i) for i in range(3)] == [kind == "global" for kind in kinds]


def test_a_pattern_old_readers_cannot_express_is_announced_and_survives():
    config = config_of(layer_kinds=("local", "global", "global"))
    with pytest.warns(UserWarning, match="transformers 4 cannot express this pattern"):
        keys = written(config)
    assert from_hf(keys) == config


def test_both_generations_of_keys_are_written():
    keys = written(PRESETS["modernbert-base"])
    assert {name: keys[name] for name in OFFICIAL} == OFFICIAL
    assert keys["layer_types"][:4] == [
        "full_attention",
        *["sliding_attention"] * 2,
        "full_attention",
    ]
    assert keys["rope_parameters"]["full_attention"]["rope_theta"] == 160000.0
    assert keys["dtype"] == keys["torch_dtype"]


def test_the_official_file_is_base():
    assert from_hf(OFFICIAL) == PRESETS["modernbert-base"]


def test_missing_keys_mean_defaults():
    assert from_hf({"model_type": "modernbert"}) == PRESETS["modernbert-base"]


def test_a_null_local_theta_means_the_global_one():
    config = from_hf(OFFICIAL | {"local_rope_theta": None, "global_rope_theta": 10000.0})
    assert config.local_rope_theta == config.global_rope_theta == 10000.0


def test_new_keys_win():
    new = {
        "layer_types": ["full_attention"] * 22,
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 7.0}},
    }
    config = from_hf(OFFICIAL | new)
    assert config.global_every == 1
    assert (config.global_rope_theta, config.local_rope_theta) == (7.0, 10000.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "bert"}, "model_type 'bert', and only 'modernbert'"),
        ({"hidden_activation": "swiglu"}, "hidden_activation 'swiglu': known are gelu, "),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "by 'dynamic', and only default, "),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "'llama3' without low_freq_fac"),
        ({"rope_scaling": {"rope_type": "linear"}}, "'linear' without factor: complete the file"),
        ({"rope_scaling": LINEAR | {"partial_rotary_factor": 0.5}}, "a part of each head only"),
        ({"rope_scaling": LINEAR | {"truncate": False}}, "or has truncate false: neither can be"),
        ({"rope_scaling": YARN | {"beta_fast": 1, "beta_slow": 32}}, "not be below beta_slow 32.0"),
        ({"rope_scaling": LINEAR | {"factor": 0}}, "all must be above 0"),
        ({"rope_scaling": LINEAR | {"factor": "far"}}, "has factor 'far', which is no finite"),
        ({"layer_types": ["chunked"] * 22}, "layer type 'chunked'"),
        ({"layer_types": ["full_attention"]}, "layer_types has 1 entries for 22 layers"),
        ({"hidden_size": 770}, "hidden_size 770 does not give 12 heads"),
        ({"hidden_size": "wide"}, "has hidden_size 'wide', which is no whole number"),
        ({"hidden_size": 768.0}, "has hidden_size 768.0, which is no whole number"),
        ({"num_hidden_layers": True}, "has num_hidden_layers True, which is no whole number"),
        ({"num_hidden_layers": 10**30}, r"num_hidden_layers 1000\S+, which is no whole number"),
        ({"norm_eps": float("nan")}, "has norm_eps nan, which is no finite number"),
        ({"norm_bias": 1}, "has norm_bias 1, which is no true or false"),
        ({"layer_types": "full_attention"}, "layer_types 'full_attention', which is no list"),
        ({"local_attention": 1}, "cannot be used: local_attention is 1: it must be even and at"),
        ({"global_attn_every_n_layers": 0}, "global_attn_every_n_layers is 0: it must be at le"),
        ({"layer_types": [{}] * 22}, "layer type {}: known are"),
        ({"rope_parameters": [1]}, r"has rope_parameters \[1\], which is no object"),
        ({"global_rope_theta": 10**400}, "global_rope_theta 1000.*, which is no finite number"),
    ],
)
def test_what_cannot_be_read_is_said(change, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        from_hf(OFFICIAL | change)


def test_ids_outside_the_vocabulary_are_not_written():
    with pytest.raises(ConfigError, match="pad_id 50283 is outside the vocabulary of 96"):
        written(config_of(pad_id=50_283))
