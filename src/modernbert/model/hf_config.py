"""The shape as Hugging Face writes it: config.json's keys in, EncoderConfig out, and back."""

import re
import reprlib
import warnings
from collections.abc import Mapping
from typing import Any, get_type_hints

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.model.config import Activation, EncoderConfig, HeadConfig, LayerKind
from modernbert.model.hf_head import ACTIVATIONS, head_to_hf, spelled
from modernbert.model.hf_keys import typed
from modernbert.model.hf_rope import ropes_from_hf, ropes_to_hf
from modernbert.model.hf_variant import variant_from_hf, variant_to_hf

# Our field, their key: the value is the same in both.
_SAME = {
    "vocab_size": "vocab_size",
    "dim": "hidden_size",
    "mlp_dim": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "local_window": "local_attention",
    "max_length": "max_position_embeddings",
    "norm_eps": "norm_eps",
    "norm_bias": "norm_bias",
    "attention_bias": "attention_bias",
    "mlp_bias": "mlp_bias",
    "head_bias": "classifier_bias",
    "decoder_bias": "decoder_bias",
    "tie_embeddings": "tie_word_embeddings",
    "embedding_dropout": "embedding_dropout",
    "mlp_dropout": "mlp_dropout",
    "init_std": "initializer_range",
    "pad_id": "pad_token_id",
    "cls_id": "cls_token_id",
    "sep_id": "sep_token_id",
}
_THEIRS = _SAME | {
    "global_every": "global_attn_every_n_layers",
    "layer_kinds": "layer_types",
    "init_cutoff": "initializer_cutoff_factor",
}
_OURS = re.compile(rf"\b({'|'.join(_THEIRS)})\b")
_KINDS: dict[str, LayerKind] = {"full_attention": "global", "sliding_attention": "local"}


def to_hf(config: EncoderConfig, *, dtype: str, head: HeadConfig | None) -> dict[str, Any]:
    """Return config.json with the keys of transformers 4 and 5, so that both read it right.

    Raises:
        ConfigError: a special token's id is outside the vocabulary.
    """
    _check_ids(config)
    shared = {theirs: getattr(config, ours) for ours, theirs in _SAME.items()}
    return shared | {
        **variant_to_hf(config),
        "dtype": dtype,
        "torch_dtype": dtype,
        "hidden_activation": spelled(config.activation),
        "classifier_activation": spelled((head and head.activation) or config.activation),
        "initializer_cutoff_factor": config.init_cutoff,
        "layer_norm_eps": config.norm_eps,
        "bos_token_id": config.cls_id,
        "eos_token_id": config.sep_id,
        "attention_dropout": 0.0,
        "attention_out_dropout": config.attention_out_dropout,
        "deterministic_flash_attn": False,
        "sparse_prediction": False,
        "sparse_pred_ignore_index": -100,
        "position_embedding_type": "absolute",
        "gradient_checkpointing": False,
        **_layers_to_hf(config),
        **head_to_hf(head),
    }


def from_hf(keys: Mapping[str, Any]) -> EncoderConfig:
    """Read config.json: new keys win over old ones, a missing key means its default.

    Raises:
        CheckpointError: the file describes another architecture, or says what we cannot do.
    """
    options = variant_from_hf(keys)
    kinds = get_type_hints(EncoderConfig)
    values = {ours: typed(keys, theirs, kinds[ours]) for ours, theirs in _SAME.items()}
    dropout = "attention_out_dropout" if "attention_out_dropout" in keys else "attention_dropout"
    cutoff = typed(keys, "initializer_cutoff_factor", float)
    values = {ours: value for ours, value in values.items() if value is not None} | {
        "activation": _activation(keys),
        "init_cutoff": cutoff or (3.0 if "initializer_cutoff_factor" in keys else 2.0),
        "attention_out_dropout": typed(keys, dropout, float) or 0.0,
    }
    if (window := values.get("local_window", 0)) > 1:
        values["local_window"] = window - window % 2  # theirs halves it, rounded down
    try:
        return EncoderConfig(**values, **options, **_layers_from_hf(keys, values))
    except ConfigError as error:
        said = _OURS.sub(lambda name: _THEIRS[name[0]], str(error))
        raise CheckpointError(f"config.json cannot be used: {said}") from error


def _layers_to_hf(config: EncoderConfig) -> dict[str, Any]:
    names = {kind: name for name, kind in _KINDS.items()}
    kinds = [_kind(config, layer) for layer in range(config.num_layers)]
    every = _period(kinds, config.global_every)
    if every is None:
        warnings.warn(
            "transformers 4 cannot express this pattern of global and local layers: "
            "it reads the folder wrong, transformers 5 reads it right",
            stacklevel=3,
        )
    return {
        "layer_types": [names[kind] for kind in kinds],
        "global_attn_every_n_layers": every or config.global_every,
        **ropes_to_hf(config),
    }


def _layers_from_hf(keys: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    pattern = _pattern(keys, values.get("num_layers", EncoderConfig().num_layers))
    return pattern | ropes_from_hf(keys)


def _pattern(keys: Mapping[str, Any], num_layers: int) -> dict[str, Any]:
    types = typed(keys, "layer_types", list)
    told = typed(keys, "global_attn_every_n_layers", int)
    told = EncoderConfig().global_every if told is None else told
    if types is None:
        return {"global_every": told}
    unknown = [name for name in types if name not in [*_KINDS]]
    if unknown:
        raise CheckpointError(
            f"config.json has layer type {reprlib.repr(unknown[0])}: known are {[*_KINDS]}"
        )
    kinds = [_KINDS[name] for name in types]
    every = _period(kinds, told) if len(kinds) == num_layers else None
    if every is None:
        return {"layer_kinds": tuple(kinds), "global_every": told}
    return {"global_every": every}


def _activation(keys: Mapping[str, Any]) -> Activation:
    name = typed(keys, "hidden_activation", str) or "gelu"
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json has hidden_activation {reprlib.repr(name)}: known are "
            f"{', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


def _period(kinds: list[LayerKind], told: int) -> int | None:
    """Return n when the global layers are exactly 0, n, 2n, ..., else None; `told` if it fits."""
    tries: list[int] = [told, *range(1, len(kinds) + 1)]
    for every in (each for each in tries if each > 0):
        if kinds == ["local" if layer % every else "global" for layer in range(len(kinds))]:
            return every
    return None


def _kind(config: EncoderConfig, layer: int) -> LayerKind:
    return "global" if config.is_global(layer) else "local"


def _check_ids(config: EncoderConfig) -> None:
    for name in ("pad_id", "cls_id", "sep_id"):
        value = getattr(config, name)
        if not 0 <= value < config.vocab_size:
            raise ConfigError(
                f"{name} {value} is outside the vocabulary of {config.vocab_size}: "
                f"set {name} to the tokenizer's id"
            )
