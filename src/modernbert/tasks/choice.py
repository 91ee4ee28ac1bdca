"""Questions with options in, a loss and the share that is chosen right out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout, PackedBatch
from modernbert.data.rows import Micro
from modernbert.model.model import Model
from modernbert.tasks import metrics
from modernbert.tasks.base import Loss, widened


@dataclass(frozen=True, slots=True)
class ChoiceBatch:
    """A packed batch, a document an option, and which option of each question is right."""

    packed: PackedBatch
    targets: Int[Tensor, "Q"]
    """Number of the right option of each question."""
    counts: tuple[int, ...]
    """Options of each question."""

    def to(self, device: torch.device) -> "ChoiceBatch":
        """Move to a device."""
        targets = self.targets.to(device, non_blocking=True)
        return ChoiceBatch(self.packed.to(device), targets, self.counts)


@final
class Choose:
    """One of some options (Zellers et al., arXiv 1808.05326): the one of the highest score."""

    def __init__(self, counts: Sequence[int], right: Sequence[int]) -> None:
        """Take the number of options of every question, and the number of the right one."""
        self._counts = tuple(counts)
        self._targets = torch.tensor([*right], dtype=torch.long)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured, the decisive one first."""
        return ("accuracy",)

    def collate(self, given: Micro) -> ChoiceBatch:
        """Look up the right options of a micro-batch."""
        packed = PackedBatch(torch.from_numpy(given.rows.ids), Layout.of(given.rows.lengths))
        counts = tuple(self._counts[number] for number in given.numbers.tolist())
        return ChoiceBatch(packed, self._targets[torch.from_numpy(given.numbers)], counts)

    def count(self, batch: ChoiceBatch) -> int:
        """Return the number of questions."""
        return len(batch.targets)

    def loss(self, model: Model, batch: ChoiceBatch) -> Loss:
        """Return the cross-entropy over each question's own options, summed over questions."""
        scores = self.outputs(model, batch)
        # Options that a question lacks have no weight.
        grid = pad_sequence(scores, batch_first=True, padding_value=-torch.inf)
        total = F.cross_entropy(grid, batch.targets, reduction="sum")
        return Loss(total, (grid.argmax(-1) == batch.targets).sum())

    def outputs(self, model: Model, batch: ChoiceBatch) -> list[Float[Tensor, "_"]]:
        """Return the scores of each question's options."""
        scores = widened(model(batch.packed))
        return list(scores.squeeze(1).split(batch.counts))

    def measure(self, outputs: Sequence[Float[Tensor, "_"]]) -> dict[str, float]:
        """Say how many of all questions are answered right."""
        found = np.array([int(scores.argmax()) for scores in outputs])
        return {"accuracy": metrics.accuracy(found, self._targets.numpy())}
