"""FlexBert's settings, as the reference repository trains with them, in; EncoderConfig out.

FlexBert (AnswerDotAI/ModernBERT, src/bert_layers) can build many encoders; ModernBERT is one of
them. Whatever would change a number and cannot be said in ModernBERT's own keys is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.model.config import MASKED_LM, EncoderConfig, HeadConfig

# The key, what FlexBert takes where it is left out, and what makes it a ModernBERT.
_PARTS: tuple[tuple[str, Any, Any], ...] = (
    ("embedding_layer", "absolute_pos", "sans_pos"),
    ("attention_layer", "base", "rope"),
    ("mlp_layer", "mlp", "glu"),
    ("bert_layer", "prenorm", "prenorm"),
    ("normalization", "rmsnorm", "layernorm"),
    ("embed_norm", True, True),
    ("final_norm", False, True),
    ("skip_first_prenorm", False, True),
    ("head_pred_norm", True, True),
    ("rotary_emb_interleaved", False, False),
    ("rotary_emb_scale_base", None, None),
    ("initial_attention_layer", None, None),
    ("initial_bert_layer", None, None),
    ("initial_mlp_layer", None, None),
)
# Pairs that ModernBERT says with one key.
_EQUAL = (
    ("attn_qkv_bias", False, "attn_out_bias", False),
    ("mlp_in_bias", False, "mlp_out_bias", False),
)
_ACTIVATION_KEYS = {"hidden_act": "gelu", "head_pred_act": "silu"}
_UNSET = -1
_SIZES = {
    "dim": "hidden_size",
    "mlp_dim": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
}
_ACTIVATIONS: dict[str, Any] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "relu": "relu",
}


def is_flexbert(settings: Mapping[str, Any]) -> bool:
    """Return whether settings are those of a FlexBert."""
    return "attention_layer" in settings


def from_flexbert(settings: Mapping[str, Any]) -> EncoderConfig:
    """Read FlexBert's settings; vocabulary, special tokens and longest text are not among them.

    Raises:
        CheckpointError: the settings build another encoder than ModernBERT, or lack a size.
    """
    try:
        _check(settings)
        norm = settings.get("norm_kwargs") or {}
        sizes: dict[str, Any] = {ours: int(settings[theirs]) for ours, theirs in _SIZES.items()}
        return EncoderConfig(
            **sizes,
            **_attention(settings),
            norm_eps=float(norm.get("eps", 1e-5)),
            norm_bias=bool(norm.get("bias", True)),
            attention_bias=bool(settings.get("attn_qkv_bias", False)),
            mlp_bias=bool(settings.get("mlp_in_bias", False)),
            head_bias=bool(settings.get("head_pred_bias", False)),
            decoder_bias=bool(settings.get("decoder_bias", True)),
            tie_embeddings=bool(settings.get("tie_word_embeddings", True)),
            activation=_ACTIVATIONS[settings.get("hidden_act", "gelu")],
            embedding_dropout=float(settings.get("embed_dropout_prob", 0.0)),
            attention_out_dropout=float(settings.get("attn_out_dropout_prob", 0.0)),
            mlp_dropout=float(settings.get("mlp_dropout_prob", 0.0)),
            init_std=float(settings.get("init_std", 0.02)),
            init_cutoff=float(settings.get("init_cutoff_factor", 2.0)),
        )
    except KeyError as error:
        raise CheckpointError(
            f"the settings of the training run lack {error.args[0]}: give the whole model_config"
        ) from error
    except (ConfigError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the settings of the training run cannot be used: {error}"
        ) from error


def head_from_flexbert(settings: Mapping[str, Any]) -> HeadConfig:
    """Read what FlexBert's settings say of the masked-LM head; its activation may be its own."""
    inner, own = (settings.get(key, default) for key, default in _ACTIVATION_KEYS.items())
    return MASKED_LM if own == inner else replace(MASKED_LM, activation=_ACTIVATIONS[own])


def _attention(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Say which layers are local, how far those see, and both thetas.

    -1 and null mean "not set": of the local theta, "as in the global layers"
    (AnswerDotAI/ModernBERT#215, where a converter wrote the -1 and every logit became NaN); of the
    window, no local layers; of the period, no global ones.
    """
    theta = float(settings["rotary_emb_base"])
    local_theta = float(_number(settings, "local_attn_rotary_emb_base"))
    window = int(_number(settings, "sliding_window"))
    every = int(_number(settings, "global_attn_every_n_layers"))
    found: dict[str, Any] = {
        "global_rope_theta": theta,
        "local_rope_theta": theta if local_theta == _UNSET else local_theta,
    }
    if window == _UNSET:
        return found | {"global_every": 1}
    if every < 1:
        num_layers = int(settings["num_hidden_layers"])
        return found | {"local_window": window, "layer_kinds": ("local",) * num_layers}
    return found | {"local_window": window, "global_every": every}


def _number(settings: Mapping[str, Any], key: str) -> Any:
    value = settings.get(key)
    return _UNSET if value is None else value


def _check(settings: Mapping[str, Any]) -> None:
    for key, default, wanted in _PARTS:
        value = settings.get(key, default)
        # "unpadded_" and "padded_" are two ways to compute the same.
        plain = (
            value.removeprefix("un").removeprefix("padded_") if isinstance(value, str) else value
        )
        _refuse_unless(plain == wanted, key, value, repr(wanted))
    for key, default, other, other_default in _EQUAL:
        value = settings.get(key, default)
        _refuse_unless(value == settings.get(other, other_default), key, value, f"that of {other}")
    for key, default in _ACTIVATION_KEYS.items():
        value = settings.get(key, default)
        _refuse_unless(value in _ACTIVATIONS, key, value, " or ".join(_ACTIVATIONS))
    heads = int(settings.get("num_attention_heads", 1))
    width = int(settings.get("hidden_size", heads)) // max(heads, 1)
    for key in ("rotary_emb_dim", "local_attn_rotary_emb_dim"):
        value = settings.get(key)
        _refuse_unless(value in (None, width), key, value, f"the width of a head, {width}")


def _refuse_unless(holds: bool, key: str, value: object, wanted: str) -> None:
    if not holds:
        raise CheckpointError(
            f"the model was trained with {key} {value!r}, a ModernBERT has {wanted}: only the "
            "repository that trained it can run it"
        )
