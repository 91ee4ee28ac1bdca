"""Scores of answers and which is right in, the temperature that makes them honest out.

Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599): all
scores are divided by one number. The likeliest answer stays the likeliest.
"""

import math
from dataclasses import dataclass

import numpy as np

from modernbert.tasks.metrics import Numbers, Values

LEAST, MOST = 1 / 64, 64.0
"""Temperatures that are looked at."""
NUM_BINS = 15
_HALVINGS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Scores of what could be answered [rows N], and which of it is right [rows]."""

    scores: Values
    right: Numbers

    @classmethod
    def of_marks(cls, scores: Values, marks: Numbers) -> "Answers":
        """Take each of several labels as an answer of its own, no or yes; both are [rows N]."""
        yes = scores.ravel()
        return cls(np.stack([np.zeros_like(yes), yes], 1), marks.ravel())

    def times(self, number: float) -> "Answers":
        """Return the same with larger scores."""
        return Answers(self.scores * number, self.right)


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of which a model is about equally sure."""

    low: float
    """Least confidence, itself left out."""
    high: float
    count: int
    confidence: float
    """Mean probability of the likeliest answer."""
    accuracy: float
    """Share of them that are right."""


@dataclass(frozen=True, slots=True)
class Honesty:
    """How far probabilities say what is the case."""

    nll: float
    """Mean negative log-likelihood of the right answers, in nats."""
    calibration_error: float
    """Expected calibration error: how far confidence is from accuracy, over all bins."""
    bins: tuple[Bin, ...]
    """Those that hold an answer."""


def temperature_of(answers: Answers) -> float:
    """Return the temperature of the least negative log-likelihood, 1 where there is no such.

    If all answers are right, surer is always better, and nothing says how sure to be. The
    likelihood is convex in the reciprocal of the temperature: its slope is halved down to 0.
    """
    margins = _margins(answers)
    if (margins <= 0).all() or _slope(margins, 1.0) == 0:
        return 1.0
    low, high = math.log(1 / MOST), math.log(1 / LEAST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(margins, math.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    found = min(max(math.exp(-high), LEAST), MOST)
    return found if nll(answers, found) <= nll(answers) else 1.0


def honesty(answers: Answers, temperature: float = 1.0) -> Honesty:
    """Measure probabilities after a division of all scores by a temperature."""
    found = bins(answers, temperature)
    off = sum(each.count * abs(each.confidence - each.accuracy) for each in found)
    return Honesty(nll(answers, temperature), off / len(answers.right), found)


def nll(answers: Answers, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of the right answers."""
    return float(np.logaddexp.reduce(_margins(answers) / temperature, axis=1).mean())


def bins(answers: Answers, temperature: float = 1.0) -> tuple[Bin, ...]:
    """Sort answers by how sure they are into bins of equal width, those left out that are empty."""
    scores = answers.scores / temperature
    best = scores.argmax(1)
    sure = np.exp(scores.max(1) - np.logaddexp.reduce(scores, axis=1))
    is_right = best == answers.right
    places = np.clip(np.ceil(sure * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    return tuple(
        Bin(
            low=int(place) / NUM_BINS,
            high=(int(place) + 1) / NUM_BINS,
            count=int((places == place).sum()),
            confidence=float(sure[places == place].mean()),
            accuracy=float(is_right[places == place].mean()),
        )
        for place in np.unique(places)
    )


def _margins(answers: Answers) -> Values:
    """Return how far each score is above that of the right answer."""
    right = np.take_along_axis(answers.scores, answers.right[:, None], 1)
    return np.asarray(answers.scores - right, dtype=np.float64)


def _slope(margins: Values, factor: float) -> float:
    """Return how the negative log-likelihood grows with a factor before all scores."""
    scaled = margins * factor
    shares = np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
    return float((shares * margins).sum(1).mean())
