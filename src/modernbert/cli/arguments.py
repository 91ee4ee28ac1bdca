"""What commands take: words without a name with what help shows for them, numbers of tokens."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from modernbert.base.errors import ConfigError

Model = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
Text = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
Query = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="QUERY")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Models = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")]
Paths = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...")]

_TOKENS = re.compile(r"--\S*tokens")
_SHORT = re.compile(r"[\d.]+[kMBT]")
_UNITS = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def tokens_of(text: str) -> int:
    """Read a number of tokens such as 500000, 50M or 1.5B.

    Raises:
        ConfigError: it is not one.
    """
    digits, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1.0)
    try:
        tokens = int(float(digits) * unit)
    except (ValueError, OverflowError):
        tokens = 0
    if tokens < 1:
        raise ConfigError(f"{text!r} is not a number of tokens: write it like 500000, 50M or 1.5B")
    return tokens


def value_of(option: str, given: Sequence[str]) -> str:
    """Return what an option is given, before the parser knows its defaults."""
    for word, following in zip(given, [*given[1:], ""], strict=True):
        if word == option or word.startswith(f"{option}="):
            return following if word == option else word.partition("=")[2]
    return ""


def spelled_out(given: Sequence[str]) -> list[str]:
    """Return the words with numbers of tokens such as 500k or 1.5B in digits."""
    words: list[str] = []
    for word, before in zip(given, ["", *given], strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if _TOKENS.fullmatch(option) and _SHORT.fullmatch(value):
            value = str(tokens_of(value))
        words.append(f"{option}={value}" if equals else value if value else word)
    return words
