"""A tokenizer_config.json in, what it says of the tokenizer beside it out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import read_json

_SHORTEST, _NO_LIMIT = 3, 1e20
"""A limit below the first leaves no room for text; one above the second is none."""


def told_beside(config: Path) -> dict[str, Any]:
    """Read what is said of a tokenizer beside it, where something is."""
    if not config.is_file():
        return {}
    try:
        values = read_json(config)
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{config} is not JSON: {reason_of(error)}") from error
    return values if isinstance(values, dict) else {}


def special_names(told: dict[str, Any], roles: Sequence[str]) -> dict[str, str]:
    """Return what a tokenizer calls its special tokens, where it says so."""
    named = {role: _content(told.get(f"{role}_token")) for role in roles}
    return {role: name for role, name in named.items() if name}


def limit_of(told: dict[str, Any]) -> int | None:
    """Return how many tokens are read of a text; transformers writes 1e30 where it knows none."""
    limit = told.get("model_max_length")
    if not isinstance(limit, int | float) or not _SHORTEST <= limit < _NO_LIMIT:
        return None
    return int(limit)


def _content(name: object) -> str | None:
    """Return a token that is written plainly or, as older files do, with its flags."""
    content = name.get("content") if isinstance(name, dict) else name
    return content if isinstance(content, str) else None
