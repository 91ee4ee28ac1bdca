"""Texts in, some from all over them out."""

from collections.abc import Sequence
from pathlib import Path

from modernbert.base.errors import ConfigError
from modernbert.data.documents import read


def texts_of(path: Path) -> list[str]:
    """Read the texts of a file or folder that are not blank."""
    return [document.text for document in read([path]) if document.text.strip()]


def spread(texts: Sequence[str], number: int, path: Path) -> list[str]:
    """Take so many texts, 2 or more, from all over a file: neighbours are often alike.

    Raises:
        ConfigError: there are fewer.
    """
    if len(texts) < number or number < 2:
        raise ConfigError(
            f"{path} has {len(texts)} texts, {number} are asked for: "
            "give more text, or lower documents"
        )
    return [texts[index * len(texts) // number] for index in range(number)]
