"""Texts with labels in, a loss and scores by how well they are told apart out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modernbert.base.shapes import Float, Shaped
from modernbert.batch import Layout, PackedBatch
from modernbert.data.labels import LabelSet, Problem
from modernbert.data.rows import Micro
from modernbert.data.said import Said
from modernbert.model.model import Model
from modernbert.tasks import metrics
from modernbert.tasks.base import Loss, widened
from modernbert.tasks.calibration import Answers

MEASURES: dict[Problem, tuple[str, ...]] = {
    "single_label": ("accuracy", "f1", "matthews"),
    "multi_label": ("f1_micro", "accuracy"),
    "regression": ("spearman", "pearson"),
}
"""What is measured of each kind of label, the decisive measure first."""


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """A packed batch, and what is right for each of its documents."""

    packed: PackedBatch
    targets: Tensor
    """Numbers of labels [S]; marks [S N] of several; or values [S]."""

    def to(self, device: torch.device) -> "LabelledBatch":
        """Move to a device."""
        return LabelledBatch(self.packed.to(device), self.targets.to(device, non_blocking=True))


@final
class Classify:
    """One label, several or a value for a document (paper, section 3.1.1)."""

    def __init__(
        self, labels: LabelSet, said: Sequence[Said], weights: Sequence[float] = ()
    ) -> None:
        """Read the labels of all examples; `weights` count the rows of each label more or less.

        Raises:
            DataError: a label is missing, unknown, or no number where one is asked for.
        """
        self.labels = labels
        self.targets = targets_of(labels, said)
        self._weights = torch.tensor([*weights]) if weights else None

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured, the decisive one first."""
        return MEASURES[self.labels.problem]

    def collate(self, given: Micro) -> LabelledBatch:
        """Look up the labels of a micro-batch."""
        packed = PackedBatch(torch.from_numpy(given.rows.ids), Layout.of(given.rows.lengths))
        return LabelledBatch(packed, self.targets[torch.from_numpy(given.numbers)])

    def count(self, batch: LabelledBatch) -> int:
        """Return the number of documents."""
        return len(batch.targets)

    def loss(self, model: Model, batch: LabelledBatch) -> Loss:
        """Return cross-entropy, binary cross-entropy or squared error, summed over documents."""
        scores = widened(model(batch.packed))
        if self.labels.problem == "single_label":
            weights = None if self._weights is None else self._weights.to(scores)
            total = F.cross_entropy(scores, batch.targets, weights, reduction="sum")
            return Loss(total, (scores.argmax(-1) == batch.targets).sum())
        if self.labels.problem == "multi_label":
            marks = batch.targets.to(scores)
            each = F.binary_cross_entropy_with_logits(scores, marks, reduction="none")
            is_right = ((scores > 0) == (batch.targets > 0.5)).all(-1)
            return Loss(each.mean(-1).sum(), is_right.sum())
        off = (scores[:, 0] - batch.targets).square()
        return Loss(off.sum(), off.new_zeros((), dtype=torch.long))

    def outputs(self, model: Model, batch: LabelledBatch) -> list[Float[Tensor, "N"]]:
        """Return the scores of each document."""
        return list(widened(model(batch.packed)))

    def measure(self, outputs: Sequence[Float[Tensor, "N"]]) -> dict[str, float]:
        """Say how good the scores of all examples are, by the names of `measures`."""
        measured = quality(self.labels, torch.stack(list(outputs)), self.targets)
        return dict(zip(self.measures, measured, strict=True))

    def answers(self, outputs: Sequence[Float[Tensor, "N"]]) -> Answers:
        """Return the scores of all examples beside what is right; a number has none."""
        scores = torch.stack(list(outputs)).double().numpy()
        right = self.targets.numpy().astype(np.int64)
        if self.labels.problem == "multi_label":
            return Answers.of_marks(scores, right)
        return Answers(scores, right)


def quality(
    labels: LabelSet, scores: Float[Tensor, "S N"], targets: Shaped[Tensor, "S ..."]
) -> tuple[float, ...]:
    """Say how good scores are, the decisive measure first."""
    right, number = targets.numpy(), len(labels.names)
    if labels.problem == "regression":
        values, truth = scores[:, 0].double().numpy(), right.astype(np.float64)
        return metrics.spearman(values, truth), metrics.pearson(values, truth)
    if labels.problem == "multi_label":
        marks, wanted = (scores > 0).long().numpy(), right.astype(np.int64)
        return metrics.micro_f1(marks, wanted), metrics.accuracy(marks, wanted)
    found = scores.argmax(-1).numpy()
    f1 = metrics.f1(found, right) if number == 2 else metrics.macro_f1(found, right, number)
    return metrics.accuracy(found, right), f1, metrics.matthews(found, right, number)


def balanced(labels: LabelSet, said: Sequence[Said]) -> list[float]:
    """Return weights by which every label counts alike, 1 on the mean over examples."""
    counts = torch.bincount(targets_of(labels, said), minlength=len(labels.names))
    shares = len(said) / (int((counts > 0).sum()) * counts.clamp(min=1).double())
    return [float(share) for share in shares]


def targets_of(labels: LabelSet, said: Sequence[Said]) -> Tensor:
    """Look up what is right: numbers of labels [S], marks [S N] of several, or values [S].

    Raises:
        DataError: a label is missing, unknown, or no number where one is asked for.
    """
    if labels.problem == "single_label":
        return torch.tensor([labels.number(each) for each in said])
    if labels.problem == "multi_label":
        return torch.tensor([labels.marks(each) for each in said])
    return torch.tensor([labels.value(each) for each in said])
