"""Scores of documents in, a piece at a time; each query's best documents out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The documents found for one query, the best first; equal ones in the order of the corpus."""

    numbers: NDArray[np.int64]
    scores: NDArray[np.float32]

    def first(self, number: int) -> "Hits":
        """Leave out all but the best."""
        return Hits(self.numbers[:number], self.scores[:number])


@final
class Best:
    """The best documents of each query among all that were scored so far."""

    def __init__(self, num_queries: int, number: int) -> None:
        """Keep so many documents a query."""
        self._number = number
        nothing = Hits(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
        self._found = [nothing] * num_queries
        # What a document has to exceed to be among a query's best.
        self._least = np.full(num_queries, -np.inf, dtype=np.float32)

    def add(self, scores: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
        """Take the scores [Q S] of some documents, whose numbers are given.

        Of equal scores those are kept that were taken first. A document of score -inf is none.
        """
        for query in np.flatnonzero(scores.max(axis=1, initial=-np.inf) > self._least):
            found, row = self._found[query], scores[query]
            places = best_places(row, self._number)
            places = places[row[places] > -np.inf]
            known = np.concatenate([found.scores, row[places]])
            kept = best_places(known, self._number)
            joined = np.concatenate([found.numbers, numbers[places]])
            self._found[query] = Hits(joined[kept], known[kept])
            if len(kept) == self._number:
                self._least[query] = known[kept].min()

    def hits(self) -> list[Hits]:
        """Return them, query by query."""
        return [in_order(found.numbers, found.scores) for found in self._found]


def best_places(scores: NDArray[np.float32], number: int) -> NDArray[np.int64]:
    """Return where the highest scores stand, in order of place; of equal ones the first."""
    if len(scores) <= number:
        return np.arange(len(scores))
    least = -np.partition(-scores, number - 1)[number - 1]
    above = np.flatnonzero(scores > least)
    equal = np.flatnonzero(scores == least)[: number - len(above)]
    return np.sort(np.concatenate([above, equal]))


@final
class Chosen:
    """The scores of documents that were chosen before, some for each query."""

    def __init__(self, chosen: NDArray[np.int64], num_documents: int) -> None:
        """Wait for the documents with these numbers, [Q K]."""
        self._chosen = chosen
        self._place = np.full(num_documents, -1, dtype=np.int64)
        self.scores = np.full(chosen.shape, -np.inf, dtype=np.float32)

    def add(self, scores: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
        """Take the scores [Q S] of some documents, whose numbers are given."""
        self._place[numbers] = np.arange(len(numbers))
        places = self._place[self._chosen]
        rows, columns = np.nonzero(places >= 0)
        self.scores[rows, columns] = scores[rows, places[rows, columns]]
        self._place[numbers] = -1


def fused(by_vectors: Sequence[Hits], by_words: Sequence[Hits], number: int) -> list[Hits]:
    """Return the best documents of two searches by the sum of their standardised scores.

    Both were asked for `number` documents. One that a search did not find gets what its last got;
    but where fewer than asked for share a word with the query, all others do not, and get the 0
    that BM25 gives them. A document that stands out in one search counts for more than one that is
    merely first in the other, which ranks alone would not tell apart (lab/LOG.md).
    """
    return [_fused_of_one(*each, number) for each in zip(by_vectors, by_words, strict=True)]


def _fused_of_one(by_vectors: Hits, by_words: Hits, number: int) -> Hits:
    numbers = np.union1d(by_vectors.numbers, by_words.numbers)
    total = np.zeros(len(numbers))
    if len(by_vectors.numbers):
        found = _spread(by_vectors, numbers, by_vectors.scores.min())
        total += standardised(found, by_vectors.scores)
    if len(by_words.numbers):
        is_all = len(by_words.numbers) < number
        found = _spread(by_words, numbers, 0 if is_all else by_words.scores.min())
        total += standardised(found, found if is_all else by_words.scores)
    return in_order(numbers, total.astype(np.float32)).first(number)


def _spread(run: Hits, numbers: NDArray[np.int64], other: float) -> NDArray[np.float32]:
    """Return the scores of these documents in a search, and of those not in it the other."""
    found = np.full(len(numbers), other, dtype=np.float32)
    found[np.searchsorted(numbers, run.numbers)] = run.scores
    return found


def standardised(
    scores: NDArray[np.float32], among: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Return scores less the mean, over the standard deviation, of those `among` which they are.

    Without any these are the scores themselves. Where all are equal they say nothing: 0.
    """
    known = (scores if among is None else among).astype(np.float64)
    spread = known.std() if len(known) else 0.0
    return (scores - known.mean()) / spread if spread > 0 else np.zeros(len(scores))


def joined(found: Sequence[Hits], again: Sequence[Hits]) -> list[Hits]:
    """Return the same documents by the sum of the standardised scores of two models."""
    both = []
    for one, other in zip(found, again, strict=True):
        numbers = np.sort(one.numbers)
        total = sum(
            (standardised(each.scores[np.argsort(each.numbers)]) for each in (one, other)),
            np.zeros(len(numbers)),
        )
        both.append(in_order(numbers, total.astype(np.float32)))
    return both


def behind(best: Hits, whole: Hits) -> Hits:
    """Return the best, then what else was found, in its order, with scores that say no more."""
    others = whole.numbers[~np.isin(whole.numbers, best.numbers)]
    low = best.scores.min(initial=0.0) - np.arange(1, len(others) + 1, dtype=np.float32)
    return Hits(np.concatenate([best.numbers, others]), np.concatenate([best.scores, low]))


def in_order(numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> Hits:
    """Return documents and their scores, the best first."""
    order = np.lexsort((numbers, -scores))
    return Hits(numbers[order], scores[order])
