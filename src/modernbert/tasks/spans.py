"""Questions about texts in, a loss over where answers begin and end, and how right they are out."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout, PackedBatch
from modernbert.data.pieces import Offsets
from modernbert.data.questions import Question
from modernbert.data.rows import Micro
from modernbert.data.windows import Window
from modernbert.model.model import Model
from modernbert.tasks.base import Loss, widened

MAX_ANSWER_TOKENS = 64
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class AskedBatch:
    """A packed batch of questions with texts, and where their answers are."""

    packed: PackedBatch
    places: tuple[Int[Tensor, "_"], ...]
    """Of each document, its [CLS] and the tokens of its text, on the flat axis."""
    targets: Int[Tensor, "S 2"]
    """Which of these begins and which ends an answer; 0, the [CLS], says that none is there."""

    def to(self, device: torch.device) -> "AskedBatch":
        """Move to a device."""
        places = tuple(each.to(device, non_blocking=True) for each in self.places)
        targets = self.targets.to(device, non_blocking=True)
        return AskedBatch(self.packed.to(device), places, targets)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer in one window."""

    first: int
    """Its first token, counted in the window's tokens of the text."""
    last: int
    score: float
    """Logarithm of the probability that it begins and ends there."""


@final
class FindSpans:
    """The first and the last token of an answer (Devlin et al., arXiv 1810.04805, section 4.2)."""

    def __init__(
        self,
        asked: Sequence[Question],
        offsets: Sequence[Offsets],
        given: Sequence[Window],
        max_answer_tokens: int = MAX_ANSWER_TOKENS,
    ) -> None:
        """Take the questions, where the tokens of their texts stand, and the windows to read."""
        self._asked, self._offsets = list(asked), list(offsets)
        self.windows = list(given)
        self._longest = max_answer_tokens
        self._can_be_none = not all(each.answers for each in asked)
        self.targets = [
            target_of(window, self._offsets[window.text], self._asked[window.text].answers)
            for window in self.windows
        ]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured, the decisive one first."""
        return ("f1", "exact_match")

    def collate(self, given: Micro) -> AskedBatch:
        """Look up the answers of a micro-batch."""
        packed = PackedBatch(torch.from_numpy(given.rows.ids), Layout.of(given.rows.lengths))
        starts = np.cumsum([0, *given.rows.lengths])[:-1].tolist()
        numbers = given.numbers.tolist()
        places = [
            torch.from_numpy(np.concatenate([[0], self.windows[number].places]) + start)
            for number, start in zip(numbers, starts, strict=True)
        ]
        targets = torch.tensor([self.targets[number] for number in numbers])
        return AskedBatch(packed, tuple(places), targets)

    def count(self, batch: AskedBatch) -> int:
        """Return the number of windows."""
        return len(batch.targets)

    def loss(self, model: Model, batch: AskedBatch) -> Loss:
        """Return the mean cross-entropy of begin and end, summed over windows."""
        scores = self.outputs(model, batch)
        chosen = torch.stack([x[right, [0, 1]] for x, right in _paired(scores, batch.targets)])
        best = torch.stack([x.argmax(0) for x in scores])
        return Loss(-chosen.mean(1).sum(), (best == batch.targets).all(1).sum())

    def outputs(self, model: Model, batch: AskedBatch) -> list[Float[Tensor, "_ 2"]]:
        """Return of each document the logarithms of the probabilities of begin and end.

        Its [CLS] comes first, then the tokens of its text; its question is no candidate.
        """
        scores = widened(model(batch.packed))
        return [scores.index_select(0, place).log_softmax(0) for place in batch.places]

    def measure(self, outputs: Sequence[Float[Tensor, "_ 2"]]) -> dict[str, float]:
        """Say how good the answers of all questions are, as SQuAD counts them."""
        said = self.answers(outputs)
        pairs = [
            quality(text, [each.context[a:b] for a, b in each.answers])
            for text, each in zip(said, self._asked, strict=True)
        ]
        f1, exact = np.mean(pairs, axis=0).tolist()
        return {"f1": f1, "exact_match": exact}

    def answers(self, outputs: Sequence[Float[Tensor, "_ 2"]]) -> list[str]:
        """Return the best answer to each question; "" where none is likelier, if any has none."""
        best: list[tuple[float, str]] = [(-float("inf"), "")] * len(self._asked)
        nothing = [0.0] * len(self._asked)
        for window, scores in zip(self.windows, outputs, strict=True):
            number = window.text
            nothing[number] = min(nothing[number], float(scores[0].sum()))
            for found in best_spans(scores, self._longest, 1):
                begin, end = place_of(window, found, self._offsets[number])
                text = self._asked[number].context[begin:end]
                best[number] = max(best[number], (found.score, text))
        return [
            "" if self._can_be_none and none > score else text
            for none, (score, text) in zip(nothing, best, strict=True)
        ]


def text_log_probabilities(scores: Float[Tensor, "L 2"], window: Window) -> Float[Tensor, "_ 2"]:
    """Return how likely [CLS] and each token of the text begin and end an answer, by logarithm."""
    places = torch.from_numpy(np.concatenate([[0], window.places]))
    return widened(scores).index_select(0, places.to(scores.device)).log_softmax(0)


def target_of(
    window: Window, offsets: Offsets, answers: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Return the places of the first answer that is whole in a window, else those of its [CLS]."""
    for begin, end in answers:
        inside = np.flatnonzero((offsets[:, 1] > begin) & (offsets[:, 0] < end))
        if not len(inside) or not len(window.units):
            continue
        first, last = inside[0] - window.units[0], inside[-1] - window.units[0]
        if first >= 0 and last < len(window.units):
            return int(first) + 1, int(last) + 1
    return 0, 0


@torch.no_grad()
def best_spans(scores: Float[Tensor, "L 2"], max_tokens: int, number: int) -> list[Found]:
    """Return the likeliest spans of at most so many tokens of a window, the best first.

    `scores` begin with the window's [CLS], which is in no span. Costs tokens times `max_tokens`.
    """
    begins, ends = scores[1:, 0], scores[1:, 1]
    width = min(max_tokens, len(begins))
    if not width:
        return []
    padded = torch.cat([ends, ends.new_full((width - 1,), -torch.inf)])
    sums = begins[:, None] + padded.unfold(0, width, 1)
    values, places = sums.flatten().topk(min(number, sums.numel()))
    return [
        Found(place // width, place // width + place % width, value)
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
        if value > -torch.inf
    ]


def place_of(window: Window, found: Found, offsets: Offsets) -> tuple[int, int]:
    """Return where an answer begins and ends, in characters of its text."""
    first, last = window.units[found.first], window.units[found.last]
    return int(offsets[first, 0]), int(offsets[last, 1])


def quality(said: str, right: Sequence[str]) -> tuple[float, float]:
    """Return F1 of words and exact match of an answer, the best over all right ones.

    Case, punctuation, articles and blanks do not count (Rajpurkar et al., arXiv 1606.05250,
    section 6.1). Where no answer is right, only "" is (arXiv 1806.03822).
    """
    ours, known = _words(said), [words for words in map(_words, right) if words] or [[]]
    return max(_f1(ours, theirs) for theirs in known), float(ours in known)


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(ours: list[str], theirs: list[str]) -> float:
    same = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * same / (len(ours) + len(theirs)) if ours and theirs else float(ours == theirs)


def _paired(
    scores: Sequence[Float[Tensor, "_ 2"]], targets: Int[Tensor, "S 2"]
) -> list[tuple[Float[Tensor, "_ 2"], Int[Tensor, "2"]]]:
    return list(zip(scores, targets, strict=True))
