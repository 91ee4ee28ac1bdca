"""Options with several values each in, the fine-tunings of all their combinations out."""

import dataclasses
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from modernbert.base.errors import ConfigError
from modernbert.base.files import digest
from modernbert.base.records import nearest
from modernbert.train.tune_config import TuneConfig

SEED = "seed"
_TRUTHS = {"true": True, "false": False}
_ODD = re.compile(r"[^\w.+,=-]")
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Axis:
    """An option, and the values that it takes in turn."""

    name: str
    """A field of `TuneConfig`."""
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """An option with one of its values."""

    name: str
    value: Any

    def __str__(self) -> str:
        """Return it as it is written on the command line."""
        return f"{self.name.replace('_', '-')}={_spelled(self.value)}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination."""

    settings: tuple[Setting, ...]
    config: TuneConfig

    @property
    def name(self) -> str:
        """Name of its folder: equal names, equal settings."""
        name = ",".join(map(str, self.settings)) or "run"
        if len(name) <= _LONGEST and not _ODD.search(name):
            return name
        return f"{_ODD.sub('-', name)[: _LONGEST // 2]}-{digest(name.encode())}"

    @property
    def without_seed(self) -> tuple[Setting, ...]:
        """What runs that differ in nothing but the seed have in common."""
        return tuple(setting for setting in self.settings if setting.name != SEED)


def axes_of(words: Sequence[str]) -> list[Axis]:
    """Read words such as `peak-lr=1e-5,3e-5`.

    Raises:
        ConfigError: an option is unknown or comes twice, or a value is none of its kind.
    """
    hints = typing.get_type_hints(TuneConfig)
    axes: list[Axis] = []
    for word in words:
        option, is_given, values = word.partition("=")
        name = option.strip().lstrip("-").replace("-", "_")
        if name not in hints:
            raise ConfigError(
                f"--sweep {word}: there is no option {option!r}: {nearest(name, hints)}"
            )
        found = [_value(hints[name], text.strip(), word) for text in values.split(",")]
        if not is_given or len({*map(_spelled, found)}) < len(found):
            raise ConfigError(f"--sweep {word}: write NAME=VALUE,VALUE,..., each value once")
        if name in [axis.name for axis in axes]:
            raise ConfigError(f"--sweep names {option!r} twice: list its values in one word")
        axes.append(Axis(name, tuple(found)))
    return axes


def variants_of(base: TuneConfig, axes: Sequence[Axis]) -> list[Variant]:
    """Return every combination of the axes' values, the last axis moving fastest.

    Raises:
        ConfigError: a value is beyond its option's bounds.
    """
    found = []
    for values in product(*(axis.values for axis in axes)):
        settings = tuple(Setting(axis.name, v) for axis, v in zip(axes, values, strict=True))
        changed = {setting.name: setting.value for setting in settings}
        found.append(Variant(settings, dataclasses.replace(base, **changed)))
    return found


def _value(kind: Any, text: str, word: str) -> Any:
    """Read a value of a field's type; entries of a tuple stand between colons."""
    args = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return tuple(_value(args[0], part, word) for part in text.split(":"))
    is_free = kind in (int, float, str)
    known = {str(arg): arg for arg in args} or _TRUTHS
    try:
        return kind(text) if is_free else known[text]
    except (KeyError, ValueError):
        wanted = "a number" if is_free else f"one of {', '.join(known)}"
        raise ConfigError(f"--sweep {word}: {text!r} is not {wanted}") from None


def _spelled(value: Any) -> str:
    if isinstance(value, tuple):
        return ":".join(map(_spelled, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
