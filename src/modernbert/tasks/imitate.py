"""Texts with the vectors that a teacher gives them in, a loss and how alike a model's are out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.batch import Layout, PackedBatch
from modernbert.data.rows import Micro
from modernbert.model.model import Model
from modernbert.model.pooling import pool
from modernbert.tasks import metrics
from modernbert.tasks.base import Loss, widened


@dataclass(frozen=True, slots=True)
class TaughtBatch:
    """A packed batch, and the teacher's vector of each of its documents."""

    packed: PackedBatch
    targets: Float[Tensor, "S D"]

    def to(self, device: torch.device) -> "TaughtBatch":
        """Move to a device."""
        return TaughtBatch(self.packed.to(device), self.targets.to(device, non_blocking=True))


@final
class Imitate:
    """The vector that another model gives a text (arXiv 2004.09813): the mean of the tokens'."""

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        """Take the teacher's vectors of all examples [N D], each of length 1."""
        self._vectors = vectors

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured, the decisive one first."""
        return ("cosine", "spearman")

    def collate(self, given: Micro) -> TaughtBatch:
        """Look up the vectors of a micro-batch."""
        packed = PackedBatch(torch.from_numpy(given.rows.ids), Layout.of(given.rows.lengths))
        return TaughtBatch(packed, torch.from_numpy(self._vectors[given.numbers]).float())

    def count(self, batch: TaughtBatch) -> int:
        """Return the number of documents."""
        return len(batch.targets)

    def loss(self, model: Model, batch: TaughtBatch) -> Loss:
        """Return one less the cosine between both vectors, summed over documents."""
        cosines = (_pooled(model, batch) * batch.targets).sum(-1)
        none = cosines.new_zeros((), dtype=torch.long)
        return Loss((1 - cosines).sum(), none)

    def outputs(self, model: Model, batch: TaughtBatch) -> list[Float[Tensor, "D"]]:
        """Return the vector of each document, of length 1."""
        return list(_pooled(model, batch))

    def measure(self, outputs: Sequence[Float[Tensor, "D"]]) -> dict[str, float]:
        """Say how near the vectors are to the teacher's.

        `cosine` is their mean product, `spearman` whether neighbours in the set are ordered by how
        alike they are as the teacher orders them.
        """
        ours = torch.stack(list(outputs)).numpy()
        theirs = self._vectors.astype(np.float32)
        cosine = float((ours * theirs).sum(1).mean())
        pairs = [(each[1:] * each[:-1]).sum(1).astype(np.float64) for each in (ours, theirs)]
        return {"cosine": cosine, "spearman": metrics.spearman(*pairs)}


def _pooled(model: Model, batch: TaughtBatch) -> Float[Tensor, "S D"]:
    x = model.encoder(batch.packed)
    return F.normalize(widened(pool(x, batch.packed.layout, "mean")), dim=-1)
