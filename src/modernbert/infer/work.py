"""What is asked of a model, apart from who computes it: documents, and what is made of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from modernbert.base.errors import NumbersError
from modernbert.batch import PackedBatch
from modernbert.infer.embed import batches
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText

R = TypeVar("R")
S = TypeVar("S")


class Readout(Protocol):
    """What is read out of a model; equal ones can be read out of one batch."""

    @property
    def most_tokens(self) -> int:
        """Tokens of a batch at most: some readouts cost much memory a token."""

    def __call__(
        self, model: Pretrained, batch: PackedBatch, read: Sequence[ReadText], /
    ) -> Sequence[Tensor]:
        """Return what is read of each document, in float32 on the CPU."""

    def __hash__(self) -> int:
        """Equal readouts have equal hashes."""


@dataclass(frozen=True, slots=True, eq=False)
class Work(Generic[R]):
    """Documents to be read, what of them is wanted, and what it is turned into."""

    readout: Readout
    documents: Sequence[ReadText]
    finish: Callable[[Sequence[Tensor]], R]
    """Turns what was read of each document, in their order, into the answer."""

    @property
    def num_tokens(self) -> int:
        """How many tokens are computed."""
        return sum(len(document.ids) for document in self.documents)

    def then(self, more: Callable[[R], S]) -> "Work[S]":
        """Do something with the answer."""
        return Work(self.readout, self.documents, lambda rows: more(self.finish(rows)))


def computed(model: Pretrained, work: Work[R]) -> R:
    """Do some work in the calling thread, the longest documents first.

    Raises:
        NumbersError: what the model gives of a document is not finite.
    """
    found: dict[int, Tensor] = {}
    ids = [document.ids for document in work.documents]
    for numbers, batch in batches(model.runs, ids, work.readout.most_tokens):
        rows = read_out(model, work.readout, batch, [work.documents[each] for each in numbers])
        found |= dict(zip(numbers, rows, strict=True))
    rows = [found[number] for number in range(len(work.documents))]
    for number, row in enumerate(rows):
        check_finite(row, number)
    return work.finish(rows)


@torch.no_grad()
def read_out(
    model: Pretrained, readout: Readout, batch: PackedBatch, read: Sequence[ReadText]
) -> list[Tensor]:
    """Return what a batch's documents give, in its order."""
    return list(readout(model, batch, read))


def check_finite(row: Tensor, number: int) -> None:
    """Refuse numbers that are none, of the document with this number.

    Raises:
        NumbersError: there is NaN or Inf.
    """
    if not torch.isfinite(row).all():
        raise NumbersError(
            f"the model gives NaN or Inf for document {number}: its weights are damaged, or too "
            "large for the format that it computes in"
        )
