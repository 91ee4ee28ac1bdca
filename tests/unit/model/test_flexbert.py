import dataclasses

import pytest

from modernbert.base.errors import CheckpointError
from modernbert.model.config import MASKED_LM
from modernbert.model.flexbert import from_flexbert, head_from_flexbert, is_flexbert
from tests.flexbert import model_of, settings_of

# What FlexBert does not know of.
ELSEWHERE = {"vocab_size": 50_368, "max_length": 8192, "pad_id": 50_283, "cls_id": 50_281}


def read(settings):
    return from_flexbert(settings)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "head_bias": True},
        {"decoder_bias": False, "activation": "silu", "norm_eps": 1e-6},
        {"global_rope_theta": 10_000.0, "local_rope_theta": 10_000.0, "local_window": 64},
    ],
)
def test_settings_give_the_shape(fields):
    config = model_of(**fields).config
    settings = settings_of(config)
    assert is_flexbert(settings)
    wanted = dataclasses.replace(config, **ELSEWHERE, sep_id=50_282)
    assert read(settings) == wanted


def test_an_unset_local_theta_is_the_global_one():
    settings = settings_of(model_of().config) | {"rotary_emb_base": 5e4}
    for unset in (-1, -1.0):
        config = read(settings | {"local_attn_rotary_emb_base": unset})
        assert (config.global_rope_theta, config.local_rope_theta) == (5e4, 5e4)
    settings.pop("local_attn_rotary_emb_base")
    assert read(settings).local_rope_theta == 5e4


def test_unset_windows_and_periods_make_layers_of_one_kind():
    settings = settings_of(model_of().config)
    everywhere = read(settings | {"sliding_window": -1, "global_attn_every_n_layers": -1})
    assert [everywhere.window_at(layer) for layer in range(4)] == [None] * 4
    nowhere = read(settings | {"global_attn_every_n_layers": -1})
    assert [nowhere.window_at(layer) for layer in range(4)] == [8] * 4
    assert {nowhere.rope_at(layer)[0] for layer in range(4)} == {10_000.0}


def test_padded_and_unpadded_are_two_ways_to_compute_the_same():
    settings = settings_of(model_of().config)
    layers = {"attention_layer": "unpadded_rope", "bert_layer": "padded_prenorm"}
    assert read(settings | layers) == read(settings)


@pytest.mark.parametrize("key", ["local_attn_rotary_emb_base", "sliding_window"])
def test_null_is_not_set(key):
    settings = settings_of(model_of().config)
    assert read(settings | {key: None}) == read(settings | {key: -1})


def test_a_head_may_have_an_activation_of_its_own():
    settings = settings_of(model_of().config)
    assert head_from_flexbert(settings) == MASKED_LM
    assert head_from_flexbert(settings | {"head_pred_act": "silu"}).activation == "silu"


def test_numbers_may_be_texts_as_yaml_reads_them():
    settings = settings_of(model_of().config) | {"norm_kwargs": {"eps": "1e-6", "bias": False}}
    assert read(settings).norm_eps == 1e-6


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"normalization": "rmsnorm"}, "normalization 'rmsnorm', a ModernBERT has 'layernorm'"),
        ({"mlp_layer": "parallel_glu"}, "mlp_layer 'parallel_glu', a ModernBERT has 'glu'"),
        ({"bert_layer": "postnorm"}, "bert_layer 'postnorm', a ModernBERT has 'prenorm'"),
        ({"skip_first_prenorm": False}, "skip_first_prenorm False, a ModernBERT has True"),
        ({"rotary_emb_interleaved": True}, "rotary_emb_interleaved True, a ModernBERT has False"),
        ({"rotary_emb_dim": 8}, "rotary_emb_dim 8, a ModernBERT has the width of a head, 16"),
        ({"attn_out_bias": True}, "attn_qkv_bias False, a ModernBERT has that of attn_out_bias"),
        ({"head_pred_act": "mish"}, "head_pred_act 'mish', a ModernBERT has gelu"),
        (
            {"hidden_act": "mish", "head_pred_act": "mish"},
            "hidden_act 'mish', a ModernBERT has gelu",
        ),
        (
            {"num_attention_heads": 5, "rotary_emb_dim": None},
            "cannot be used: dim 32 does not give 5 heads",
        ),
        ({"norm_kwargs": [1]}, "cannot be used: 'list' object has no attribute"),
        ({"sliding_window": "wide"}, "cannot be used: invalid literal for int"),
    ],
)
def test_another_encoder_is_refused(changed, sentence):
    with pytest.raises(CheckpointError) as caught:
        read(settings_of(model_of().config) | changed)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("key", ["hidden_size", "rotary_emb_base", "num_attention_heads"])
def test_what_has_no_safe_default_must_be_said(key):
    settings = settings_of(model_of().config) | {"rotary_emb_dim": None}
    settings.pop(key)
    with pytest.raises(CheckpointError, match=f"settings of the training run lack {key}: give"):
        read(settings)


def test_flexbert_s_own_defaults_are_no_modernbert():
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    settings = {key: value for key, value in settings_of(model_of().config).items() if key in sizes}
    with pytest.raises(CheckpointError, match="embedding_layer 'absolute_pos', a ModernBERT has"):
        read(settings | {"rotary_emb_base": 1e4})
