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


def fused(runs: Sequence[Sequence[Hits]], number: int) -> list[Hits]:
    """Return the best documents of several searches by the sum of their standardised scores.

    A search that did not find a document gives it what it gives its last. A document that stands
    out in one search counts for more than one that is merely first in the other, which ranks alone
    would not tell apart (lab/LOG.md).
    """
    return [_fused_of_one(each, number) for each in zip(*runs, strict=True)]


def _fused_of_one(runs: Sequence[Hits], number: int) -> Hits:
    numbers = np.unique(np.concatenate([run.numbers for run in runs]))
    total = np.zeros(len(numbers))
    for run in runs:
        if len(run.numbers):
            scores = standardised(run.scores)
            found = np.full(len(numbers), scores.min())
            found[np.searchsorted(numbers, run.numbers)] = scores
            total += found
    return in_order(numbers, total.astype(np.float32)).first(number)


def standardised(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return scores less their mean, over their standard deviation; 0 where all are equal."""
    wide = scores.astype(np.float64)
    spread = wide.std()
    return (wide - wide.mean()) / spread if spread > 0 else np.zeros(len(wide))


def in_order(numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> Hits:
    """Return documents and their scores, the best first."""
    order = np.lexsort((numbers, -scores))
    return Hits(numbers[order], scores[order])
