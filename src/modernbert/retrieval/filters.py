"""Conditions on metadata, as a person writes them, in; which documents meet them out."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest

_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: bool(one < other),
    ">": lambda one, other: bool(one > other),
    "<=": lambda one, other: bool(one <= other),
    ">=": lambda one, other: bool(one >= other),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What the value of a key must be."""

    key: str
    sign: str
    values: tuple[str, ...]
    """One, or for = and != several of which any is meant."""

    def holds(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether a document meets it; one without a value equals "" and meets no other.

        Numbers are compared as numbers, all else as texts; any member of a list may be equal.
        """
        found = metadata.get(self.key)
        if found in (None, "", []):
            return self.sign == "=" and "" in self.values
        if self.sign in _ORDERS:
            return _is_ordered(found, self.values[0], self.sign)
        members = found if isinstance(found, list) else [found]
        is_equal = any(_is_equal(one, value) for one in members for value in self.values)
        return is_equal == (self.sign == "=")


def conditions_of(written: Sequence[str], keys: Collection[str]) -> tuple[Condition, ...]:
    """Read conditions such as `year>=2020` or `lang=en|de`.

    Raises:
        ConfigError: one is no condition, or no document has its key.
    """
    found = []
    for text in written:
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise ConfigError(
                f"the filter {text!r} is no condition: write key=value, key=one|other, key!=value, "
                "key<value, key>value, key<=value or key>=value, in quotes"
            )
        key, sign, value = parts.groups()
        if key not in keys:
            way = nearest(key, keys) if keys else "they have no metadata"
            raise ConfigError(f"no document has the key {key!r} of the filter: {way}")
        values = (value,) if sign in _ORDERS else tuple(value.split("|"))
        found.append(Condition(key, sign, values))
    return tuple(found)


def _is_equal(found: object, value: str) -> bool:
    if isinstance(found, bool):
        return str(found).lower() == value.lower()
    one, other = _number(found), _number(value)
    if one is not None and other is not None:
        return one == other
    return str(found) == value


def _is_ordered(found: object, value: str, sign: str) -> bool:
    one, other = _number(found), _number(value)
    if one is not None and other is not None:
        return _ORDERS[sign](one, other)
    return _ORDERS[sign](str(found), value)


def _number(value: object) -> float | None:
    """Return a number, also of a text that spells one, as tables of text have them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
