"""A table of labelled texts in, examples of token ids out, each with what is to be said of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from modernbert.base.errors import DataError
from modernbert.data.columns import Columns
from modernbert.data.said import Said
from modernbert.data.table import Row, RowFiles
from modernbert.data.tokenizer import SURROGATE, Ids, Tokenizer

Cut = Literal["right", "left", "never"]
"""At which end a text that is too long loses tokens."""

_AT_ONCE = 1000
"""Texts that are encoded together."""
_LOOKED_AT = 1000
"""Rows that a guess of columns rests on."""


@dataclass(frozen=True, slots=True)
class Read:
    """The tokens of a text or of a pair, as a model reads them."""

    ids: Ids
    """[CLS] text [SEP], and pair [SEP] where there is one."""
    num_cut: int
    """Tokens that were left out for length."""


def first_rows(table: RowFiles) -> list[Row]:
    """Return the rows that columns are guessed by.

    Raises:
        DataError: there is none, or the file is broken.
    """
    rows = list(islice(table, _LOOKED_AT))
    if not rows:
        raise DataError(f"{table.files[0]} holds no row: give a file with examples")
    return rows


def said_in(row: Row, columns: Columns) -> Said:
    """Return what a row says of its label.

    Raises:
        DataError: it lacks the column.
    """
    values = {name: value_in(row, name) for name in columns.label}
    value = next(iter(values.values())) if len(values) == 1 else values
    return Said(value, row.where)


def texts_in(row: Row, columns: Columns) -> tuple[str, ...]:
    """Return a row's text, or the two of a pair.

    Raises:
        DataError: a column is not there, empty, or no text, or holds what is no character.
    """
    return tuple(text_in(row, name) for name in columns.texts)


def read_texts(
    texts: Iterable[Sequence[str]], tokenizer: Tokenizer, max_length: int, cut: Cut = "right"
) -> Iterator[Read]:
    """Encode texts or pairs one after the other, cut to a length in tokens.

    Of a pair, the longer one is cut first, as `transformers` does it.

    Raises:
        DataError: one is longer and never to be cut.
    """
    rest = iter(texts)
    while group := list(islice(rest, _AT_ONCE)):
        sides = [tokenizer.encode_texts(side) for side in zip(*group, strict=True)]
        for parts in zip(*sides, strict=True):
            yield joined(parts, tokenizer, max_length, cut)


def joined(parts: Sequence[Ids], tokenizer: Tokenizer, max_length: int, cut: Cut = "right") -> Read:
    """Put marks around one or two encoded texts, cut to a length in tokens.

    Raises:
        DataError: they are longer and never to be cut.
    """
    lengths = shortened([len(ids) for ids in parts], max_length - 1 - len(parts))
    num_cut = sum(map(len, parts)) - sum(lengths)
    if num_cut and cut == "never":
        raise DataError(
            f"a text, or pair of texts, has {num_cut} tokens more than the {max_length} that are "
            "read: shorten it, or let it be cut"
        )
    ids = [np.array([tokenizer.cls_id])]
    for part, length in zip(parts, lengths, strict=True):
        start = len(part) - length if cut == "left" else 0
        ids += [part[start : start + length], np.array([tokenizer.sep_id])]
    return Read(np.concatenate(ids), num_cut)


def shortened(lengths: Sequence[int], room: int) -> list[int]:
    """Return how much of each of one or two texts is kept so that all fit into so many tokens.

    The longer of two is cut until both are equal; it keeps the odd token, the second of equal ones.
    """
    if len(lengths) == 1 or sum(lengths) <= room:
        return [min(length, room) for length in lengths]
    short = min(*lengths, room // 2)
    is_first_longer = lengths[0] > lengths[1]
    return [room - short, short] if is_first_longer else [short, room - short]


def value_in(row: Row, name: str) -> Any:
    """Return what stands in a column.

    Raises:
        DataError: the row lacks it.
    """
    if name not in row.values:
        raise DataError(
            f"{row.where} has no {name!r} (it has {', '.join(row.values)}): complete it, or leave "
            "the row out"
        )
    return row.values[name]


def text_in(row: Row, name: str) -> str:
    """Return the text that stands in a column.

    Raises:
        DataError: the row lacks it, or it is empty, or no text, or holds what is no character.
    """
    return checked_text(value_in(row, name), name, row.where)


def checked_text(value: Any, name: str, where: str) -> str:
    """Return a value that must be a text with something in it, of characters alone.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} is {value!r}, not a text: complete it")
    if not value.strip():
        raise DataError(f"{where}: {name!r} is empty: complete it, or leave it out")
    check_unicode(value, name, where)
    return value


def check_unicode(text: str, name: str, where: str) -> None:
    """Refuse a text that holds what is no character.

    Raises:
        DataError: it does.
    """
    if (broken := SURROGATE.search(text)) is not None:
        raise DataError(
            f"{where}: {name!r} is no Unicode at character {broken.start()}: mend it, or leave the "
            "row out"
        )
