"""What does not fit a request's shape in, a sentence that names the fields out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_MOST = 3
"""Fields of a request that are named."""
_SAYINGS: Mapping[str, str] = {
    "model_type": "Input should be an object",
    "list_type": "Input should be a list",
    "string_type": "Input should be a text",
    "int_type": "Input should be a whole number",
}
"""Of kinds that pydantic names as Python does."""
_BEFORE = "Input should be "

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    """What pydantic says: `left` of a place is behind the part of the body that is looked at."""

    left: Place
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class _Told:
    """What is wrong with a part of a body, and how far in that begins."""

    depth: float
    faults: Sequence[tuple[str, str]]
    """Names of fields, and what is wrong with each."""


def spelled(error: ValidationError, body: Any) -> str:
    """Name the first fields that are wrong; values stay with the client.

    Where a field may be of several types, those speak that fit furthest: a list with one number
    among its texts is told of the number, and not that it is no text itself.
    """
    found = error.errors(include_url=False, include_input=False, include_context=False)
    faults = [
        _Fault(each["loc"], each["type"], _SAYINGS.get(each["type"], each["msg"])) for each in found
    ]
    told = _told(faults, body, ()).faults[:_MOST]
    return "; ".join(f"{name or 'body'}: {says}" for name, says in told)


def _told(faults: Sequence[_Fault], value: Any, place: Place) -> _Told:
    here: list[_Told] = []
    inside: dict[str | int, list[_Fault]] = defaultdict(list)
    for fault in faults:
        if not fault.left:
            here.append(_Told(len(place), [(_name(place), fault.says)]))
        elif len(fault.left) == 1 and fault.kind == "missing":
            # An object that lacks a field fits better than what is no object.
            here.append(_Told(len(place) + 0.5, [(_name((*place, *fault.left)), fault.says)]))
        else:
            inside[fault.left[0]].append(_Fault(fault.left[1:], fault.kind, fault.says))
    types: list[_Told] = []
    for part, some in inside.items():
        if _holds(value, part):
            here.append(_told(some, value[part], (*place, part)))
        else:
            types.append(_told(some, value, place))
    return _all([*here, *([_any(types)] if types else [])])


def _holds(value: Any, part: str | int) -> bool:
    """Return whether a part of a place is in the body; else it is the name of a type."""
    if isinstance(part, int):
        return isinstance(value, list)
    return isinstance(value, dict) and part in value


def _all(told: Sequence[_Told]) -> _Told:
    return _Told(
        min(each.depth for each in told), [fault for each in told for fault in each.faults]
    )


def _any(told: Sequence[_Told]) -> _Told:
    """Return what those types say that fit best: furthest, and with the fewest faults there."""
    best = max((each.depth, -len(each.faults)) for each in told)
    closest = [each for each in told if (each.depth, -len(each.faults)) == best]
    first, *rest = closest[0].faults
    name, says = first
    for other, its in dict.fromkeys(each.faults[0] for each in closest if each.faults[0] != first):
        says += f" or {its.removeprefix(_BEFORE)}" if other == name else f", or {other}: {its}"
    return _Told(best[0], [(name, says), *rest])


def _name(place: Place) -> str:
    return ".".join(map(str, place))
