"""A runtime and a length in, the most documents that fit into one batch out."""

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from resource import RLIM_INFINITY
from typing import Any, Literal

import torch

from modernbert.base.errors import ConfigError
from modernbert.base.log import Meter, meter, say
from modernbert.base.machine import memory_bytes
from modernbert.bench.efficiency_case import EfficiencyCase, Work
from modernbert.bench.encoding import answers
from modernbert.bench.worker import Answers, Failure, Worker, memory_limit

_NEAR = 1.0625
"""How much more the smallest batch that does not fit may hold than the largest that does."""

StoppedBy = Literal["memory", "limit", "time", "failure"]
_OF_MEMORY = re.compile("memory|alloc|process ended", re.IGNORECASE)
"""How runtimes say that they were refused memory; some are ended by it."""


@dataclass(frozen=True, slots=True)
class Largest:
    """What a search found."""

    documents: int
    stopped_by: StoppedBy
    """What the next larger batch would have broken: only `memory` says that it does not fit."""
    too_many: int | None = None
    """Fewest documents that are known not to fit."""


def largest(fits: Callable[[int], bool], limit: int, is_late: Callable[[], bool]) -> Largest:
    """Double a batch until it does not fit, then halve the gap until it is narrow.

    A batch that had no time left is one of which nothing is known.
    """
    good, bad = 0, 0
    while good < limit and not bad:
        tried = min(max(1, 2 * good), limit)
        found = fits(tried)
        if not found and is_late():
            return Largest(good, "time")
        good, bad = (tried, 0) if found else (good, tried)
    while bad and bad - good > 1 and bad > _NEAR * good:
        tried = (good + bad) // 2
        found = fits(tried)
        if not found and is_late():
            return Largest(good, "time", bad)
        good, bad = (tried, bad) if found else (good, tried)
    return Largest(good, "memory", bad) if bad else Largest(good, "limit")


def measure_largest(name: str, folder: Path, work: Work, case: EfficiencyCase) -> dict[str, Any]:
    """Search the largest batch of a runtime, every try in a process of its own."""
    length, limit_bytes = work.lengths[0], memory_of(case, work)
    allowed = 60 * case.largest_batch_minutes
    end = time.monotonic() + allowed
    reasons: list[str] = []

    def fits(told: Meter, documents: int) -> bool:
        told.at(allowed - max(0.0, end - time.monotonic()), f"{name}, {documents} documents")
        given = Work(((length,) * documents,), work.precision, work.device)
        make = partial(_answers, name, folder, given, limit_bytes)
        limit = RLIM_INFINITY if work.device == "cuda" else limit_bytes
        with Worker(make, torch.get_num_threads(), limit) as worker:
            found = worker.ask("once", max(0.0, end - time.monotonic()))
        if isinstance(found, Failure) and time.monotonic() < end:
            reasons.append(found.reason)
        return not isinstance(found, Failure)

    with meter("the largest batch", allowed) as told:
        fit, is_late = partial(fits, told), lambda: time.monotonic() >= end
        found = largest(fit, case.largest_batch_limit, is_late)
    if found.stopped_by == "memory" and not all(map(_OF_MEMORY.search, reasons)):
        found = replace(found, stopped_by="failure")
    reason = reasons[-1] if reasons else None
    why = f": {reason}" if reason and not found.documents else ""
    say(
        f"{name}: {_said(found)} documents of {length} in a batch; stopped by "
        f"{found.stopped_by}{why}"
    )
    return {**asdict(found), "reason": reason}


def _said(found: Largest) -> str:
    """Say how many fit, as far as it is known."""
    if found.stopped_by in ("memory", "failure"):
        return str(found.documents)
    if found.too_many is None:
        return f"{found.documents} or more"
    return f"{found.documents} to {found.too_many - 1}"


def memory_of(case: EfficiencyCase, work: Work) -> int:
    """Return the bytes that a process may take in this search.

    Raises:
        ConfigError: more is asked for than there is.
    """
    asked = int(case.largest_batch_gib * 2**30)
    is_cuda = work.device == "cuda"
    whole = torch.cuda.get_device_properties(0).total_memory if is_cuda else memory_bytes()
    if asked > whole:
        raise ConfigError(
            f"largest_batch_gib is {case.largest_batch_gib:g}, and there are "
            f"{whole / 2**30:.1f} GiB of memory: a search beyond them would stop the machine"
        )
    return asked or (whole if is_cuda else memory_limit())


def _answers(name: str, folder: Path, work: Work, limit_bytes: int) -> Answers:
    if work.device == "cuda":
        share = limit_bytes / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, share))
    return answers(name, folder, work)
