"""Records of requests in, throughput and latency out; points of load in, the best one out.

A request counts for the throughput when its answer comes within the time measured, so that those
that began before and those that end after make up for each other. Latency is that of all requests
that began in this time, also of those that ended after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from modernbert.bench.serving_case import KINDS
from modernbert.bench.serving_load import Loaded, Record

ALL = "all"
_QUANTILES = (0.5, 0.95, 0.99)
P50, P95, P99 = range(3)
Latency = tuple[float, float, float]
"""p50, p95 and p99, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What clients met at one point of load."""

    texts_per_second: float
    tokens_per_second: float
    latency_ms: dict[str, Latency]
    """Of all requests and of each kind that there was."""
    requests: int
    """That began in the time measured."""
    errors: int
    """Of these: another status, no vector, or no answer."""
    cpu_share: float
    """Of one core, that the clients needed."""


def figures(loaded: Loaded, start: float, stop: float) -> Figures:
    """Count what happened in a time, in seconds since the first request could be sent."""
    answered = [each for each in loaded.records if each.is_good and start <= each.stop < stop]
    begun = [each for each in loaded.records if start <= each.start < stop]
    return Figures(
        texts_per_second=len(answered) / (stop - start),
        tokens_per_second=sum(each.tokens for each in answered) / (stop - start),
        latency_ms=_latencies([each for each in begun if each.is_good]),
        requests=len(begun),
        errors=sum(not each.is_good for each in begun),
        cpu_share=loaded.cpu_share,
    )


def middle(rounds: Sequence[Figures]) -> Figures:
    """Take the median of each number over rounds; requests and errors are added up."""
    kinds = [kind for kind in (ALL, *KINDS) if any(kind in each.latency_ms for each in rounds)]
    return Figures(
        texts_per_second=median(each.texts_per_second for each in rounds),
        tokens_per_second=median(each.tokens_per_second for each in rounds),
        latency_ms={kind: _middle(kind, rounds) for kind in kinds},
        requests=sum(each.requests for each in rounds),
        errors=sum(each.errors for each in rounds),
        cpu_share=median(each.cpu_share for each in rounds),
    )


def fastest(points: Mapping[int, Figures], bound_ms: float = float("inf")) -> int | None:
    """Return the number of clients with most tokens a second whose p95 is within a bound.

    Points with errors do not count; None where no other is left.
    """
    within = [
        clients
        for clients, each in points.items()
        if not each.errors and ALL in each.latency_ms and each.latency_ms[ALL][P95] <= bound_ms
    ]
    return max(within, key=lambda clients: points[clients].tokens_per_second, default=None)


def best_of(sides: Mapping[str, Mapping[int, Figures]]) -> tuple[str, int] | None:
    """Return which side has most tokens a second without errors, and at how many clients."""
    able = {name: clients for name, points in sides.items() if (clients := fastest(points))}
    name = max(able, key=lambda each: sides[each][able[each]].tokens_per_second, default=None)
    return None if name is None else (name, able[name])


def _latencies(records: Sequence[Record]) -> dict[str, Latency]:
    groups: dict[str, list[Record]] = {ALL: [*records]}
    groups |= {kind: [each for each in records if each.kind == kind] for kind in KINDS}
    return {kind: _latency(some) for kind, some in groups.items() if some}


def _latency(records: Sequence[Record]) -> Latency:
    p50, p95, p99 = np.quantile([1e3 * (each.stop - each.start) for each in records], _QUANTILES)
    return float(p50), float(p95), float(p99)


def _middle(kind: str, rounds: Sequence[Figures]) -> Latency:
    found = [each.latency_ms[kind] for each in rounds if kind in each.latency_ms]
    p50, p95, p99 = (median(some) for some in zip(*found, strict=True))
    return p50, p95, p99
