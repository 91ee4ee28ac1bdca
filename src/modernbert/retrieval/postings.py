"""Documents in, which words each holds how often out; by these, how well each fits a query (BM25).

Words are counted a segment at a time, so that adding and deleting touch nothing that is there;
what BM25 asks of the whole corpus is summed up when a query comes. Scores are those of
`lexical.Lexical` over the documents that are left.
"""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernbert.base.files import hashed
from modernbert.retrieval.index_arrays import load, store
from modernbert.retrieval.lexical import K1, B, words_of

_FILES = ("words", "word_starts", "posting_rows", "posting_counts", "lengths")


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The words of a segment."""

    words: NDArray[np.uint64]
    """Names of the words, in order."""
    starts: NDArray[np.int64]
    """Where each word's documents begin in the next two, then the total."""
    rows: NDArray[np.int32]
    counts: NDArray[np.int32]
    lengths: NDArray[np.int32]
    """Words of each document."""

    def of(self, name: np.uint64) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the documents that hold a word, and how often."""
        at = int(np.searchsorted(self.words, name))
        if at == len(self.words) or self.words[at] != name:
            return self.rows[:0], self.counts[:0]
        span = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.rows[span], self.counts[span]


def count_words(texts: Sequence[str]) -> Postings:
    """Count the words of a segment's documents."""
    numbers: dict[str, int] = {}
    rows, words, counts, lengths = array("i"), array("i"), array("i"), array("i")
    for row, text in enumerate(texts):
        held = words_of(text)
        lengths.append(len(held))
        for word, count in Counter(held).items():
            words.append(numbers.setdefault(word, len(numbers)))
            rows.append(row)
            counts.append(count)
    names = np.array([hashed(word) for word in numbers], dtype=np.uint64)
    order = np.argsort(names)
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    places = place[np.asarray(words, dtype=np.int64)] if len(words) else np.empty(0, np.int64)
    by_word = np.argsort(places, kind="stable")
    held_by = np.bincount(places, minlength=len(names))
    return Postings(
        names[order],
        np.concatenate([[0], np.cumsum(held_by)]).astype(np.int64),
        np.asarray(rows, dtype=np.int32)[by_word],
        np.asarray(counts, dtype=np.int32)[by_word],
        np.asarray(lengths, dtype=np.int32),
    )


def write_postings(folder: Path, postings: Postings) -> None:
    """Write the words of a segment into its folder."""
    arrays: list[NDArray[Any]] = [
        postings.words,
        postings.starts,
        postings.rows,
        postings.counts,
        postings.lengths,
    ]
    for name, values in zip(_FILES, arrays, strict=True):
        store(folder / f"{name}.npy", values)


def open_postings(folder: Path) -> Postings:
    """Map the words of a segment into memory."""
    arrays: list[Any] = [load(folder / f"{name}.npy") for name in _FILES]
    return Postings(*arrays)


def score_words(
    postings: Sequence[Postings], alive: Sequence[NDArray[np.bool_]], query: str
) -> list[NDArray[np.float32]]:
    """Return of each segment the scores of its documents; those that share no word have 0.

    What is not alive counts nowhere.
    """
    scores = [np.zeros(len(each.lengths), dtype=np.float32) for each in postings]
    number = sum(int(mask.sum()) for mask in alive)
    pairs = list(zip(postings, alive, strict=True))
    total = sum(int(each.lengths[mask].sum()) for each, mask in pairs)
    if not total:
        return scores
    mean = total / number
    for word, repeats in Counter(words_of(query)).items():
        name = np.uint64(hashed(word))
        found = [_alive(each.of(name), mask) for each, mask in pairs]
        holders = sum(len(rows) for rows, _ in found)
        rarity = math.log(1 + (number - holders + 0.5) / (holders + 0.5))
        for each, score, (rows, counts) in zip(postings, scores, found, strict=True):
            length = np.asarray(each.lengths[rows], dtype=np.float64)
            weight = counts / (counts + K1 * (1 - B + B * length / mean))
            score[rows] += (repeats * rarity * weight).astype(np.float32)
    return scores


def _alive(
    found: tuple[NDArray[np.int32], NDArray[np.int32]], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rows, counts = found
    kept = mask[rows]
    return (rows, counts) if kept.all() else (rows[kept], counts[kept])
