"""The object of a config.json and a key in, its value out, of the type that belongs there."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

from modernbert.base.errors import CheckpointError

T = TypeVar("T")

_MOST = 2**63
_SPELLED: dict[type, str] = {
    bool: "true or false",
    int: "whole number",
    float: "finite number",
    str: "text",
    list: "list",
    dict: "object",
}


def typed(keys: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """Return a key's value, None where it is missing or null; a whole number may stand for a float.

    Raises:
        CheckpointError: the value is of another type, or no finite number.
    """
    value = keys.get(name)
    if kind is float and type(value) is int:
        value = _as_float(value)
    if value is not None and (type(value) is not kind or not _is_usual(value)):
        raise CheckpointError(
            f"config.json has {name} {reprlib.repr(keys[name])}, which is no {_SPELLED[kind]}"
        )
    return value


def _is_usual(value: Any) -> bool:
    """Return whether a number is finite and fits into 64 bits; other values are."""
    if type(value) is int:
        return abs(value) < _MOST
    return type(value) is not float or math.isfinite(value)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
