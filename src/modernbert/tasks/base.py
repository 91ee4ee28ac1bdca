"""What the loop asks of a task: label rows, and give a loss that can be summed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from modernbert.base.shapes import Float, Int
from modernbert.model.model import Model

Given = TypeVar("Given", contravariant=True)
Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Loss:
    """A sum with its count: the mean is taken once, over all rows and all devices."""

    total: Float[Tensor, ""]
    num_correct: Int[Tensor, ""]


class Task(Protocol[Given, Batch]):
    """One thing to learn."""

    def collate(self, given: Given, /) -> Batch:
        """Label one packed micro-batch; no randomness but what its addresses give."""

    def count(self, batch: Batch) -> int:
        """Return how many predictions a batch asks for."""

    def loss(self, model: Model, batch: Batch) -> Loss:
        """Run the model on a batch."""


class MeasuredTask(Task[Given, Batch], Protocol[Given, Batch]):
    """One thing to learn from labelled examples, and how well it was learned."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured; the first decides which model is the best."""

    def outputs(self, model: Model, batch: Batch) -> list[Tensor]:
        """Return what the model says of each example of a batch."""

    def measure(self, outputs: Sequence[Tensor]) -> dict[str, float]:
        """Say how good the outputs of all examples are, in their order."""


def widened(scores: Tensor) -> Tensor:
    """Return scores in float32 at least: sums over many rows need it."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
