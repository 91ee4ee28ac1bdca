"""Ways to do one thing in, how fast and how large each is beside ours out: processes, in turns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert.base.errors import MachineError
from modernbert.base.log import say
from modernbert.bench.measure import Seconds, interleaved, ratio
from modernbert.bench.runtimes import OURS
from modernbert.bench.worker import Answers, Failure, Worker

Row = dict[str, Any]


def beside(
    makers: Mapping[str, Callable[[], Answers]],
    rounds: int,
    limit: float,
    unlike: Collection[str] = (),
) -> dict[str, Row]:
    """Let each side answer for itself: what it finds, in what time, with what memory.

    What they find may differ from ours by `limit`, but for those that are meant to be `unlike`. A
    side that differs by more, or fails, is left out, and its facts say why.

    Raises:
        MachineError: this package itself failed.
    """
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(make, torch.get_num_threads()))
            for name, make in makers.items()
        }
        facts = _checked(workers, limit, unlike)
        able = [name for name in facts if "failed" not in facts[name]]
        works = {
            name: partial(timed, workers[name], name, facts[name], is_needed=name == OURS)
            for name in able
        }
        # Everyone has done the work once by now, to be compared.
        seconds = interleaved(works, rounds, warms_up=False)
        for name in seconds:
            facts[name] |= _speed(seconds, name)
            peak = workers[name].ask("peak")
            facts[name]["peak_bytes"] = None if isinstance(peak, Failure) else peak
            say(_line(name, facts[name]))
    return facts


def agreement(
    theirs: Sequence[NDArray[np.float32]] | Failure,
    ours: Sequence[NDArray[np.float32]],
    limit: float,
) -> Row:
    """Return by how much they differ, or that this is too much."""
    if isinstance(theirs, Failure):
        return {"failed": theirs.reason}
    difference = max(
        float(np.abs(one - other).max()) for one, other in zip(theirs, ours, strict=True)
    )
    if not difference <= limit:  # NaN differs as well
        return {"failed": f"its vectors differ by {difference:.2g}"}
    return {"largest_difference": difference}


def _checked(
    workers: Mapping[str, Worker], limit: float, unlike: Collection[str]
) -> dict[str, Row]:
    ours = workers[OURS].ask("rows")
    if isinstance(ours, Failure):
        raise MachineError(f"the case cannot be encoded here: {ours.reason}")
    facts: dict[str, Row] = {OURS: {}}
    for name in (each for each in workers if each != OURS):
        theirs = workers[name].ask("rows")
        is_compared = name not in unlike or isinstance(theirs, Failure)
        facts[name] = agreement(theirs, ours, limit) if is_compared else {}
        if "failed" in facts[name]:
            say(f"{name} is left out: {facts[name]['failed']}")
    return facts


def timed(worker: Worker, name: str, facts: Row, *, is_needed: bool) -> float | None:
    """Time a side once; None where it fails, as when the system takes its memory.

    Raises:
        MachineError: it failed, and without it there is nothing to compare.
    """
    found = worker.ask("seconds")
    if not isinstance(found, Failure):
        return float(found)
    if is_needed:
        raise MachineError(f"{name} failed while it was timed: {found.reason}")
    facts["failed"] = f"while it was timed, {found.reason}"
    say(f"{name} is left out: {facts['failed']}")
    return None


def _speed(seconds: Seconds, name: str) -> Row:
    found = ratio(seconds[name], seconds[OURS])
    return {
        "seconds": round(median(seconds[name]), 4),
        "ours_is_faster": round(found.middle, 3),
        "quartiles": [round(found.low, 3), round(found.high, 3)],
    }


def _line(name: str, found: Row) -> str:
    low, high = found["quartiles"]
    memory = found["peak_bytes"]
    said = "" if memory is None else f", {memory / 2**20:.0f} MiB above what it held"
    return (
        f"{name}: {found['seconds']:.3g} s{said}; ours is {found['ours_is_faster']:.2f}x as fast "
        f"({low:.2f} to {high:.2f})"
    )
