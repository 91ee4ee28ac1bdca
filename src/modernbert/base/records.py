"""Dataclasses to plain JSON values and back; a name that nobody knows is an error."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from modernbert.base.errors import ConfigError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Turn nested dataclasses into dicts, lists and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """Rebuild a dataclass from what `to_plain` gave; fields that are missing keep their default.

    Raises:
        ConfigError: a field is unknown, missing without a default, or of another type.
    """
    return typing.cast(T, _rebuilt(kind, value, where or kind.__name__))


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """Return a hint that ends an error message: the known name most like this one."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    # A name with a comma would look like two.
    spelled = [repr(each) if "," in each else each for each in known]
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(spelled)}"


def one_of(what: str, value: str, known: typing.Sequence[str]) -> None:
    """Refuse a word that is none of those known; the command line does so by itself.

    Raises:
        ConfigError: it is another.
    """
    if value not in known:
        raise ConfigError(f"{what} is {value!r}: {nearest(value, known)}")


def _rebuilt(kind: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _rebuilt(args[0], value, where)
    if origin in (tuple, list) and isinstance(value, list):
        return origin(_tuple(args if origin is tuple else (*args, ...), value, where))
    if origin is dict and isinstance(value, dict):
        return {key: _rebuilt(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    fits = value in args if origin is typing.Literal else type(value) is kind
    if not fits:
        raise ConfigError(f"{where} is {value!r}, which is not of type {_spelled(kind)}")
    return value


def _tuple(args: tuple[Any, ...], value: list[Any], where: str) -> tuple[Any, ...]:
    kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
    if len(kinds) != len(value):
        raise ConfigError(f"{where} has {len(value)} entries instead of {len(kinds)}")
    pairs = zip(kinds, value, strict=True)
    return tuple(_rebuilt(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(pairs))


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}, which is not a table of fields")
    hints = typing.get_type_hints(kind)
    for name in value:
        if name not in hints:
            raise ConfigError(f"{where} has no field {name!r}: {nearest(name, hints)}")
    for field in dataclasses.fields(kind):
        required = field.default is dataclasses.MISSING is field.default_factory
        if required and field.name not in value:
            raise ConfigError(f"{where} lacks the field {field.name!r}")
    return kind(**{n: _rebuilt(hints[n], v, f"{where}.{n}") for n, v in value.items()})


def _spelled(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
