"""What the loop asks of a task: label rows, and give a loss that can be summed."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from jaxtyping import Float, Int
from torch import Tensor

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
