"""Options that no other tool knows, as config.json says them: EncoderConfig in, keys out, and back.

A shape without them is written as transformers writes it. One with them has another `model_type`,
so that tools which would compute something else refuse it.
"""

import reprlib
import warnings
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from modernbert.base.errors import CheckpointError
from modernbert.model.config import OPTIONS, EncoderConfig
from modernbert.model.hf_keys import typed

PLAIN, VARIANT = "modernbert", "modernbert_variant"
_KEY = "modernbert_options"
"""An object: names and values of the options that a ModernBERT has otherwise."""


def variant_to_hf(config: EncoderConfig) -> dict[str, Any]:
    """Return the keys that say which encoder it is."""
    if not config.options:
        return {"model_type": PLAIN}
    told = dict(config.options)
    warnings.warn(
        f"only this package opens the folder: no other tool knows {', '.join(told)}", stacklevel=4
    )
    return {"model_type": VARIANT, _KEY: told}


def variant_from_hf(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Read the options; there are none where the file is a plain ModernBERT's.

    Raises:
        CheckpointError: the file describes another architecture, or an option nobody knows.
    """
    if (model_type := keys.get("model_type")) not in (PLAIN, VARIANT):
        raise CheckpointError(
            f"config.json has model_type {reprlib.repr(model_type)}, and only 'modernbert' can be "
            "read: give a ModernBERT folder"
        )
    told = (typed(keys, _KEY, dict) or {}) if model_type == VARIANT else {}
    return {name: _value(told, name) for name in told}


def _value(told: Mapping[str, Any], name: str) -> Any:
    if name not in OPTIONS:
        raise CheckpointError(
            f"config.json has the option {reprlib.repr(name)}, which this release does not know: "
            "install a newer one"
        )
    kind = get_type_hints(EncoderConfig)[name]
    known = get_args(kind) or (False, True)
    value = typed(told, name, type(known[0]))
    if value not in known:
        raise CheckpointError(
            f"config.json has {name} {reprlib.repr(value)}: known are {', '.join(map(str, known))}"
        )
    return value
