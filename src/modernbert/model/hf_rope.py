"""Rotary positions as Hugging Face writes them: keys of config.json in, theta and scaling out."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

from modernbert.base.errors import CheckpointError
from modernbert.kernels.scaling import UNSCALED, RopeScaling, ScalingKind
from modernbert.model.config import EncoderConfig

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_KINDS: dict[str, ScalingKind] = {
    "default": "none",
    "linear": "linear",
    "yarn": "yarn",
    "llama3": "llama3",
}
_LENGTH = "original_max_position_embeddings"
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
    length = keys.get("max_position_embeddings") or EncoderConfig().max_length
    entries = {name: _entry(keys, name) for name in (_GLOBAL, _LOCAL)}
    return {
        "global_rope_theta": _theta(keys, entries[_GLOBAL], "global_rope_theta", 160_000.0),
        "local_rope_theta": _theta(keys, entries[_LOCAL], "local_rope_theta", 10_000.0),
        "global_rope_scaling": _scaling(entries[_GLOBAL], length),
        "local_rope_scaling": _scaling(entries[_LOCAL], length),
    }


def _entry(keys: Mapping[str, Any], name: str) -> dict[str, Any]:
    new = (keys.get("rope_parameters") or {}).get(name) or {}
    return {**new, **(keys.get("rope_scaling") or {})}


def _theta(keys: Mapping[str, Any], entry: Mapping[str, Any], old: str, default: float) -> float:
    theta = entry.get("rope_theta", keys.get(old, default))
    # Files of transformers 4 say null for "as in the global layers".
    return float(theta) if theta is not None else float(keys.get("global_rope_theta") or 160_000.0)


def _scaling(entry: Mapping[str, Any], length: int) -> RopeScaling:
    told = entry.get("rope_type", entry.get("type", "default"))
    if told not in _KINDS:
        raise CheckpointError(
            f"config.json scales rotary positions by {told!r}, and only {', '.join(_KINDS)} can "
            "be read: others depend on the batch a text is in"
        )
    kind = _KINDS[told]
    if kind == "none":
        return UNSCALED
    if entry.get("partial_rotary_factor", 1.0) != 1.0 or entry.get("truncate") is False:
        raise CheckpointError(
            "config.json turns a part of each head only, or has truncate false: neither can be read"
        )
    values = {_LENGTH: length, **{key: value for key, value in entry.items() if value is not None}}
    if kind == "yarn":
        values.setdefault("factor", length / values[_LENGTH])
        values.setdefault("attention_factor", _attention_factor(values))
    missing = [key for key in _FIELDS[kind] if key not in values and not key.startswith("beta")]
    if missing:
        raise CheckpointError(
            f"config.json scales rotary positions by {told!r} without {missing[0]}: "
            "complete the file"
        )
    fields = {ours: float(values[key]) for key, ours in _FIELDS[kind].items() if key in values}
    original = int(fields.pop("original_length", UNSCALED.original_length))
    return RopeScaling(kind=kind, original_length=original, **fields)


def _attention_factor(values: Mapping[str, Any]) -> float:
    """Return YaRN's default (arXiv 2309.00071, section 3.4), or DeepSeek's two-sided one."""

    def softened(share: float) -> float:
        return 0.1 * share * math.log(values["factor"]) + 1.0 if values["factor"] > 1 else 1.0

    above, below = values.get("mscale"), values.get("mscale_all_dim")
    return softened(above) / softened(below) if above and below else softened(1.0)


def _scaling_to_hf(scaling: RopeScaling) -> dict[str, Any]:
    if scaling.kind == "none":
        return {}
    names = {ours: theirs for theirs, ours in _KINDS.items()}
    values = {theirs: getattr(scaling, ours) for theirs, ours in _FIELDS[scaling.kind].items()}
    return {"rope_type": names[scaling.kind], **values}
