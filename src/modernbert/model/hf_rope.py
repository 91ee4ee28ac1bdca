"""Rotary positions as Hugging Face writes them: keys of config.json in, theta and scaling out."""

import math
import reprlib
import warnings
from collections.abc import Mapping
from typing import Any

from modernbert.base.errors import CheckpointError
from modernbert.kernels.scaling import UNSCALED, RopeScaling, ScalingKind
from modernbert.model.config import EncoderConfig
from modernbert.model.hf_keys import typed

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_KINDS: dict[str, ScalingKind] = {
    "default": "none",
    "linear": "linear",
    "yarn": "yarn",
    "llama3": "llama3",
}
_LENGTH = "original_max_position_embeddings"
_SOFTENED = ("mscale", "mscale_all_dim")
# Their key, our field, for what each kind reads.
_FIELDS: dict[ScalingKind, dict[str, str]] = {
    "none": {},
    "linear": {"factor": "factor"},
    "yarn": {
        "factor": "factor",
        _LENGTH: "original_length",
        "attention_factor": "attention_factor",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
    },
    "llama3": {
        "factor": "factor",
        _LENGTH: "original_length",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
    },
}


def ropes_to_hf(config: EncoderConfig) -> dict[str, Any]:
    """Return the keys of transformers 5, and those of 4 as far as it can express the scaling."""
    both = {
        _GLOBAL: (config.global_rope_theta, config.global_rope_scaling),
        _LOCAL: (config.local_rope_theta, config.local_rope_scaling),
    }
    old = _scaling_to_hf(config.global_rope_scaling)
    if config.global_rope_scaling != config.local_rope_scaling:
        warnings.warn(
            "transformers 4 cannot stretch the positions of global and local layers differently: "
            "it reads the folder wrong, transformers 5 reads it right",
            stacklevel=4,
        )
        old = {}
    return {
        "rope_parameters": {
            name: {"rope_type": "default", **_scaling_to_hf(scaling), "rope_theta": theta}
            for name, (theta, scaling) in both.items()
        },
        "global_rope_theta": config.global_rope_theta,
        "local_rope_theta": config.local_rope_theta,
        **({"rope_scaling": old} if old else {}),
    }


def ropes_from_hf(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Read thetas and scalings; `rope_scaling` of transformers 4 counts for all layers.

    Raises:
        CheckpointError: positions are stretched in a way that cannot be computed exactly.
    """
    length = typed(keys, "max_position_embeddings", int) or EncoderConfig().max_length
    entries = {name: _entry(keys, name) for name in (_GLOBAL, _LOCAL)}
    return {
        "global_rope_theta": _theta(keys, entries[_GLOBAL], "global_rope_theta", 160_000.0),
        "local_rope_theta": _theta(keys, entries[_LOCAL], "local_rope_theta", 10_000.0),
        "global_rope_scaling": _scaling(entries[_GLOBAL], length),
        "local_rope_scaling": _scaling(entries[_LOCAL], length),
    }


def _entry(keys: Mapping[str, Any], name: str) -> dict[str, Any]:
    new = typed(typed(keys, "rope_parameters", dict) or {}, name, dict) or {}
    return {**new, **(typed(keys, "rope_scaling", dict) or {})}


def _theta(keys: Mapping[str, Any], entry: Mapping[str, Any], old: str, default: float) -> float:
    if "rope_theta" in entry:
        told = typed(entry, "rope_theta", float)
    else:
        told = typed({old: default, **keys}, old, float)
    # Files of transformers 4 say null for "as in the global layers".
    return told if told is not None else typed(keys, "global_rope_theta", float) or 160_000.0


def _scaling(entry: Mapping[str, Any], length: int) -> RopeScaling:
    told = typed(entry, "rope_type", str) or typed(entry, "type", str) or "default"
    if told not in _KINDS:
        raise CheckpointError(
            f"config.json scales rotary positions by {reprlib.repr(told)}, and only "
            f"{', '.join(_KINDS)} can be read: others depend on the batch a text is in"
        )
    kind = _KINDS[told]
    if kind == "none":
        return UNSCALED
    if (typed(entry, "partial_rotary_factor", float) or 1.0) != 1.0 or entry.get(
        "truncate"
    ) is False:
        raise CheckpointError(
            "config.json turns a part of each head only, or has truncate false: neither can be read"
        )
    numbers = {
        key: typed(entry, key, float) for key in (*_FIELDS[kind], *_SOFTENED) if key in entry
    }
    values = {
        _LENGTH: float(length),
        **{key: each for key, each in numbers.items() if each is not None},
    }
    if kind == "yarn":
        values.setdefault("factor", length / (values[_LENGTH] or 1))
        values.setdefault("attention_factor", _attention_factor(values))
    missing = [key for key in _FIELDS[kind] if key not in values and not key.startswith("beta")]
    if missing:
        raise CheckpointError(
            f"config.json scales rotary positions by {told!r} without {missing[0]}: "
            "complete the file"
        )
    fields: dict[str, Any] = {
        ours: float(values[key]) for key, ours in _FIELDS[kind].items() if key in values
    }
    original = int(fields.pop("original_length", UNSCALED.original_length))
    return RopeScaling(kind=kind, original_length=original, **fields)


def _attention_factor(values: Mapping[str, float]) -> float:
    """Return YaRN's default (arXiv 2309.00071, section 3.4), or DeepSeek's two-sided one."""

    def softened(share: float) -> float:
        return 0.1 * share * math.log(values["factor"]) + 1.0 if values["factor"] > 1 else 1.0

    above, below = (values.get(key) for key in _SOFTENED)
    return softened(above) / softened(below) if above and below else softened(1.0)


def _scaling_to_hf(scaling: RopeScaling) -> dict[str, Any]:
    if scaling.kind == "none":
        return {}
    names = {ours: theirs for theirs, ours in _KINDS.items()}
    values = {theirs: getattr(scaling, ours) for theirs, ours in _FIELDS[scaling.kind].items()}
    return {"rope_type": names[scaling.kind], **values}
