"""The same measure of several seeds in, its mean with an interval out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """What some values say of the mean of all there could be."""

    mean: float
    half_width: float | None
    """The mean lies within so much of this one, with 95% confidence; of one value nobody knows."""
    values: tuple[float, ...]

    def spelled(self, scale: float = 1.0, digits: int = 4) -> str:
        """Return it as a person reads it."""
        shown = f"{scale * self.mean:.{digits}f}"
        if self.half_width is None:
            return shown
        return f"{shown} ± {scale * self.half_width:.{digits}f}"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean and Student's interval around it (Student, Biometrika 1908)."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Estimate(mean, None, tuple(values))
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Estimate(mean, quantile(count - 1) * math.sqrt(variance / count), tuple(values))


def quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """Return the value that Student's t with so many degrees of freedom stays within."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """Return the probability of -t to t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    is_odd = freedom % 2
    term, total = (math.cos(angle), 0.0) if is_odd else (1.0, 0.0)
    for power in range(1 + is_odd, freedom, 2):
        total += term
        term *= power / (power + 1) * math.cos(angle) ** 2
    if is_odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
