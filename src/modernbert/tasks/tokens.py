"""Texts with tagged words in, a loss and the quality of the spans that are found out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout, PackedBatch
from modernbert.data.rows import Micro
from modernbert.data.tags import OUTSIDE, is_chunked, spans_of
from modernbert.data.windows import Window
from modernbert.model.heads import ClassifierHead
from modernbert.model.model import Model
from modernbert.tasks.base import Loss, widened
from modernbert.tasks.calibration import Answers


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """A packed batch, and what is right for some of its tokens."""

    packed: PackedBatch
    places: Int[Tensor, "M"]
    """Where the tokens that stand for words are on the flat axis."""
    targets: Int[Tensor, "M"]
    """Numbers of their tags."""
    counts: tuple[int, ...]
    """Such tokens of each document."""

    def to(self, device: torch.device) -> "TaggedBatch":
        """Move to a device."""
        places, targets = (x.to(device, non_blocking=True) for x in (self.places, self.targets))
        return TaggedBatch(self.packed.to(device), places, targets, self.counts)


@final
class TagTokens:
    """A tag for the first token of each word (Devlin et al., arXiv 1810.04805, section 5.3)."""

    def __init__(
        self, names: Sequence[str], given: Sequence[Window], tags: Sequence[Sequence[str]]
    ) -> None:
        """Take the tags there are, the windows to read, and the tags of every text."""
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(names)}
        self._windows = list(given)
        self._tags = [list(each) for each in tags]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured, the decisive one first; tags that begin no spans have none."""
        spans = ("f1", "precision", "recall") if is_chunked(self.names) else ()
        return (*spans, "accuracy")

    def collate(self, given: Micro) -> TaggedBatch:
        """Look up the tags of a micro-batch."""
        packed = PackedBatch(torch.from_numpy(given.rows.ids), Layout.of(given.rows.lengths))
        starts = np.cumsum([0, *given.rows.lengths])[:-1].tolist()
        chosen = [self._windows[number] for number in given.numbers.tolist()]
        places = [window.places + start for window, start in zip(chosen, starts, strict=True)]
        targets = [self._targets(number) for number in given.numbers.tolist()]
        return TaggedBatch(
            packed,
            torch.from_numpy(np.concatenate(places)),
            torch.tensor([tag for tags in targets for tag in tags], dtype=torch.long),
            tuple(len(window.places) for window in chosen),
        )

    def count(self, batch: TaggedBatch) -> int:
        """Return the number of words."""
        return len(batch.targets)

    def loss(self, model: Model, batch: TaggedBatch) -> Loss:
        """Return the cross-entropy summed over words."""
        scores = self._scores(model, batch)
        total = F.cross_entropy(scores, batch.targets, reduction="sum")
        return Loss(total, (scores.argmax(-1) == batch.targets).sum())

    def outputs(self, model: Model, batch: TaggedBatch) -> list[Float[Tensor, "_ N"]]:
        """Return the scores of the words of each document."""
        return list(self._scores(model, batch).split(batch.counts))

    def measure(self, outputs: Sequence[Float[Tensor, "_ N"]]) -> dict[str, float]:
        """Say how good the scores of all windows are: spans as conlleval counts them, and words."""
        found = [[OUTSIDE] * len(tags) for tags in self._tags]
        for window, scores in zip(self._windows, outputs, strict=True):
            best = scores.argmax(-1).tolist()
            for unit, number in zip(window.units.tolist(), best, strict=True):
                found[window.text][unit] = self.names[number]
        f1, precision, recall, accuracy = quality(found, self._tags)
        measured = {"f1": f1, "precision": precision, "recall": recall, "accuracy": accuracy}
        return {name: measured[name] for name in self.measures}

    def answers(self, outputs: Sequence[Float[Tensor, "_ N"]]) -> Answers:
        """Return the scores of the words of all windows beside what is right."""
        right = [tag for number in range(len(self._windows)) for tag in self._targets(number)]
        return Answers(torch.cat(list(outputs)).double().numpy(), np.array(right, dtype=np.int64))

    def _scores(self, model: Model, batch: TaggedBatch) -> Float[Tensor, "M N"]:
        assert isinstance(model.head, ClassifierHead), "only a head of tokens has this loss"
        x = model.encoder(batch.packed).index_select(0, batch.places)
        return widened(model.head(x, batch.packed.layout))

    def _targets(self, number: int) -> list[int]:
        window = self._windows[number]
        tags = self._tags[window.text]
        return [self._numbers[tags[unit]] for unit in window.units.tolist()]


def quality(
    found: Sequence[Sequence[str]], right: Sequence[Sequence[str]]
) -> tuple[float, float, float, float]:
    """Return F1, precision and recall of spans, and the share of right words.

    A span counts when its words and its kind are right (Tjong Kim Sang and Buchholz, CoNLL-2000).
    """
    hits = said = true = words = same = 0
    for ours, theirs in zip(found, right, strict=True):
        one, other = {*spans_of(ours)}, {*spans_of(theirs)}
        hits, said, true = hits + len(one & other), said + len(one), true + len(other)
        words += len(theirs)
        same += sum(a == b for a, b in zip(ours, theirs, strict=True))
    precision, recall = hits / max(said, 1), hits / max(true, 1)
    f1 = 2 * hits / max(said + true, 1)
    return f1, precision, recall, same / max(words, 1)
