"""Functions to compare in, the median of their ratio out: interleaved, in one process."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two ways of doing the same work took."""

    ours_s: float
    """Median seconds of one round."""
    theirs_s: float
    ratio: float
    """Median over the rounds of theirs / ours."""
    low: float
    """Lower quartile of that ratio."""
    high: float
    rounds: int


def compare(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> Comparison:
    """Time both, one after the other, in every round; the first round warms up and is left out.

    Who goes first alternates, so that neither always meets the caches the other left.
    """
    assert rounds >= 2
    pairs = []
    for number in range(rounds + 1):
        if number % 2:
            first, second = _seconds(ours), _seconds(theirs)
        else:
            second, first = _seconds(theirs), _seconds(ours)
        if number:
            pairs.append((first, second))
    ratios = [theirs_s / ours_s for ours_s, theirs_s in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Comparison(
        ours_s=statistics.median(pair[0] for pair in pairs),
        theirs_s=statistics.median(pair[1] for pair in pairs),
        ratio=middle,
        low=low,
        high=high,
        rounds=rounds,
    )


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
