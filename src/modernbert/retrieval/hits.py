"""Scores of documents in, a piece at a time; each query's best documents out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

FUSED = 60
"""Added to every rank, so that a first place does not count twice a second one."""


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
        self._scores = torch.empty(num_queries, 0)
        self._numbers = torch.empty(num_queries, 0, dtype=torch.int64)

    def add(self, scores: Float[Tensor, "Q S"], numbers: Int[Tensor, "S"]) -> None:
        """Take the scores of some documents, whose numbers are given."""
        best, places = scores.topk(min(self._number, scores.shape[1]), dim=1)
        known = torch.cat([self._scores, best.float().cpu()], dim=1)
        numbers = torch.cat([self._numbers, numbers[places.cpu()]], dim=1)
        self._scores, order = known.topk(min(self._number, known.shape[1]), dim=1)
        self._numbers = numbers.gather(1, order)

    def hits(self) -> list[Hits]:
        """Return them, query by query."""
        pairs = zip(self._numbers.numpy(), self._scores.numpy(), strict=True)
        return [in_order(numbers, scores) for numbers, scores in pairs]


def fused(runs: Sequence[Sequence[Hits]], number: int) -> list[Hits]:
    """Return the best documents of several searches by reciprocal rank fusion.

    A document counts 1 / (60 + rank) for each search that found it (Cormack et al., SIGIR 2009).
    """
    return [_fused_of_one(each, number) for each in zip(*runs, strict=True)]


def _fused_of_one(runs: Sequence[Hits], number: int) -> Hits:
    numbers, places = np.unique(np.concatenate([run.numbers for run in runs]), return_inverse=True)
    ranks = np.concatenate([np.arange(1, len(run.numbers) + 1) for run in runs])
    scores = np.bincount(places, 1.0 / (FUSED + ranks), minlength=len(numbers))
    return in_order(numbers, scores.astype(np.float32)).first(number)


def in_order(numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> Hits:
    """Return documents and their scores, the best first."""
    order = np.lexsort((numbers, -scores))
    return Hits(numbers[order], scores[order])
