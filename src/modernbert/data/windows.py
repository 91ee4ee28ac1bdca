"""A text's tokens and its words in, windows that a model can read out; each word is said once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modernbert.data.pieces import Offsets
from modernbert.data.tokenizer import Ids, Tokenizer

Ints = NDArray[np.int64]

_OVERLAP = 0.25
"""Share of a window that the next one reads again, so that no word stands at an edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Some tokens of a text with [CLS] and [SEP], and which of them stand for what."""

    ids: Ids
    places: Ints
    """Places in `ids` of the tokens that stand for a unit."""
    units: Ints
    """Numbers of these units."""
    text: int
    """Number of the text that it is of."""


def windows(
    text: int, ids: Ids, firsts: Ints, tokenizer: Tokenizer, max_length: int
) -> Iterator[Window]:
    """Cut a text into windows of at most so many tokens; each unit is said in exactly one.

    `firsts` are the places of the tokens that stand for units 0, 1, 2, ...; -1 is none. A unit
    near the edge of a window is said in the one where it has more around it.
    """
    room = max_length - 2
    for start, stop in _cuts(len(ids), room):
        first = start + (_overlap(room) // 2 if start else 0)
        last = stop if stop == len(ids) else stop - _overlap(room) // 2
        units = np.flatnonzero((firsts >= first) & (firsts < last))
        body = np.array([tokenizer.cls_id, *ids[start:stop], tokenizer.sep_id], dtype=np.int64)
        yield Window(body, firsts[units] - start + 1, units, text)


def question_windows(
    text: int, question: Ids, ids: Ids, tokenizer: Tokenizer, max_length: int
) -> Iterator[Window]:
    """Cut a text into windows behind a question: [CLS] question [SEP] text [SEP].

    Units are the text's tokens, and those near an edge are in two windows, so that an answer is
    whole in one. A question that takes more than half of a window is cut there.
    """
    question = question[: (max_length - 3) // 2]
    before = np.array([tokenizer.cls_id, *question, tokenizer.sep_id], dtype=np.int64)
    for start, stop in _cuts(len(ids), max_length - len(before) - 1):
        places = np.arange(stop - start) + len(before)
        body = np.concatenate([before, ids[start:stop], np.array([tokenizer.sep_id])])
        yield Window(body, places, np.arange(start, stop), text)


def _cuts(count: int, room: int) -> Iterator[tuple[int, int]]:
    """Yield where windows of so many tokens begin and end; each overlaps the one before it."""
    overlap = _overlap(room)
    for start in [0] if count <= room else range(0, count - overlap, room - overlap):
        yield start, min(start + room, count)


def _overlap(room: int) -> int:
    return int(_OVERLAP * room) // 2 * 2


def first_tokens(offsets: Offsets, words: Sequence[tuple[int, int]]) -> Ints:
    """Return for each word the place of the first token that holds a character of it, else -1."""
    found, at = [], 0
    for start, stop in words:
        while at < len(offsets) and offsets[at, 1] <= start:
            at += 1
        is_there = at < len(offsets) and offsets[at, 0] < stop
        found.append(at if is_there else -1)
    return np.array(found, dtype=np.int64)
