"""Works to compare in, seconds and the ratios of their medians out: interleaved, round by round."""

import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import torch

from modernbert.base.log import Meter, meter
from modernbert.base.machine import peak_bytes, start_peak

Seconds = dict[str, list[float]]
"""What each work took in each round."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much longer one work took than another, round by round."""

    middle: float
    """Median over the rounds."""
    low: float
    """Lower quartile."""
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two ways of doing the same work took."""

    ours_s: float
    """Median seconds of one round."""
    theirs_s: float
    ratio: Ratio
    """Theirs over ours."""


def compare(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> Comparison:
    """Time both, one after the other, in every round."""
    works = {"ours": _timed(ours), "theirs": _timed(theirs)}
    found = interleaved(works, rounds)
    return Comparison(
        ours_s=statistics.median(found["ours"]),
        theirs_s=statistics.median(found["theirs"]),
        ratio=ratio(found["theirs"], found["ours"]),
    )


def interleaved(
    works: Mapping[str, Callable[[], float | None]], rounds: int, *, warms_up: bool = True
) -> Seconds:
    """Run every work once a round and gather the seconds that each says it took.

    A round before the first warms up, unless works do that themselves. Rounds go forwards and
    backwards by turns, and each pair of them begins one later, so that no work always meets what
    the same other one left. One that says None has failed, and is left out from then on.
    """
    assert rounds >= 2
    first = 0 if warms_up else 1
    with meter("measuring", len(works) * (rounds + 1 - first), is_still=True) as bar:
        return _gathered(works, range(first, rounds + 1), bar)


def _gathered(
    works: Mapping[str, Callable[[], float | None]], rounds: range, bar: Meter
) -> Seconds:
    found: Seconds = {name: [] for name in works}
    for number in rounds:
        which = f"round {number} of {rounds.stop - 1}" if number else "warming up"
        for place, name in enumerate(_turns([*found], number)):
            bar.at(len(works) * (number - rounds.start) + place, f"{which}, {name}")
            seconds = works[name]()
            if seconds is None:
                del found[name]
            elif number:
                found[name].append(seconds)
    return found


def told(title: str, names: Collection[str]) -> Iterator[str]:
    """Give one name after the other, and say which is in hand."""
    with meter(title, len(names)) as bar:
        for number, name in enumerate(names):
            bar.at(number, f"{title}, {name}")
            yield name


def _turns(names: list[str], number: int) -> list[str]:
    """Return who comes after whom in a round."""
    turn = number // 2 % len(names)
    return (names[turn:] + names[:turn])[:: -1 if number % 2 else 1]


def ratio(slower: list[float], faster: list[float]) -> Ratio:
    """Divide round by round: what disturbs a round disturbs both."""
    ratios = [one / other for one, other in zip(slower, faster, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)


def peak_above(before: int | None, work: Callable[[], object]) -> int | None:
    """Do a work and return the bytes it needed above those held; None if the system cannot say."""
    is_counted = before is not None and start_peak()
    work()
    highest = peak_bytes()
    return highest - before if is_counted and before is not None and highest is not None else None


def peak_on_cuda(before: int, work: Callable[[], object]) -> int:
    """Do a work and return the bytes of tensors that it needed above those held."""
    torch.cuda.reset_peak_memory_stats()
    work()
    return int(torch.cuda.max_memory_allocated()) - before


def _timed(work: Callable[[], None]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run
