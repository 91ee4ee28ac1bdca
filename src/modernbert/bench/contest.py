"""Models and their runtimes in, how fast and how large each is beside ours out.

All processes live together and take turns, so that what disturbs a round disturbs all of them.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from resource import RLIM_INFINITY
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch

from modernbert.base.errors import MachineError
from modernbert.base.log import say
from modernbert.base.machine import available_bytes
from modernbert.bench.efficiency_case import Work
from modernbert.bench.encoding import Rows, answers
from modernbert.bench.measure import Seconds, interleaved, ratio, told
from modernbert.bench.runtimes import OURS, RUNTIMES, is_installed
from modernbert.bench.shapes import SHAPES
from modernbert.bench.sides import agreement, timed
from modernbert.bench.worker import Failure, Worker
from modernbert.model.stored import WEIGHTS

AGREEMENT = {"float32": 2e-3, "bfloat16": 0.1, "int8": 0.3}
"""How far vectors may lie apart, as a share of their length. Of layers that matter (folders.py) a
wrong mask, window or angle moves them by .4 and more, numbers in bfloat16 by .03, 8 bits by .08."""
_SPARE_BYTES = 1 << 30
_WIDE = 0.25
"""Share of a median that its quartiles lie apart, beyond which a ratio says little."""

Row = dict[str, Any]


@dataclass(slots=True)
class Entry:
    """One runtime of one model."""

    model: str
    runtime: str
    worker: Worker | None = None
    facts: Row = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in what is said."""
        return f"{self.model}, {self.runtime}"

    @property
    def is_reference(self) -> bool:
        """Whether nothing is measured without it."""
        return self.runtime == OURS or RUNTIMES[self.runtime].is_yardstick


def compared(
    found: Mapping[str, tuple[str, ...] | str],
    folders: Mapping[str, Path],
    work: Work,
    stack: ExitStack,
) -> list[Entry]:
    """Start every runtime, and compare its vectors with those of its model's first one.

    Raises:
        MachineError: this package itself could not encode the case.
    """
    entries = [Entry(model, name) for model in folders for name in found[model]]
    firsts: dict[str, Rows] = {}
    named = {entry.name: entry for entry in entries}
    for name in told("comparing", named):
        entry = named[name]
        rows = _started(entry, folders[entry.model], work, stack)
        if rows is None:
            continue
        first = firsts.setdefault(entry.model, rows)
        if rows is not first and not RUNTIMES[entry.runtime].is_yardstick:
            entry.facts = likeness(rows, first, AGREEMENT[work.precision])
            _tell(entry)
    return entries


def likeness(theirs: Rows, ours: Rows, limit: float) -> Row:
    """Return how far vectors lie apart, or that this is too far."""
    facts = agreement(theirs, ours, inf)
    if "failed" in facts:
        return facts
    one, other = (np.concatenate([each.ravel() for each in rows]) for rows in (theirs, ours))
    apart = float(np.linalg.norm(one - other) / np.linalg.norm(other))
    if not apart <= limit:
        return {"failed": f"its vectors differ by {apart:.2g} of their length"}
    return facts | {"difference": apart}


def _started(entry: Entry, folder: Path, work: Work, stack: ExitStack) -> Rows | None:
    """Start a runtime and return its vectors; None where it has none, and facts say why."""
    if not is_installed(entry.runtime):
        package = RUNTIMES[entry.runtime].package.replace("_", "-")
        entry.facts = {"failed": f"not installed: pip install {package}"}
    elif not entry.is_reference and (lacking := _lacking(folder, work)):
        entry.facts = {"failed": lacking}
    else:
        make = partial(answers, entry.runtime, folder, work)
        limit = RLIM_INFINITY if work.device == "cuda" else None
        entry.worker = stack.enter_context(Worker(make, torch.get_num_threads(), limit))
        rows = entry.worker.ask("rows")
        if not isinstance(rows, Failure):
            return None if RUNTIMES[entry.runtime].is_yardstick else list(rows)
        if entry.is_reference:
            raise MachineError(f"the case cannot be encoded here: {rows.reason}")
        entry.facts = {"failed": rows.reason}
    _tell(entry)
    return None


def _lacking(folder: Path, work: Work) -> str:
    """Return that there is too little memory for one more copy of a model; "" if there is not."""
    available = torch.cuda.mem_get_info()[0] if work.device == "cuda" else available_bytes()
    needed = 2 * (folder / WEIGHTS).stat().st_size + _SPARE_BYTES
    if available is None or available >= needed:
        return ""
    return (
        f"not started: {available / 2**30:.1f} GiB of memory are left, and "
        f"{needed / 2**30:.1f} are wanted for it"
    )


def timed_all(entries: Sequence[Entry], work: Work, rounds: int) -> None:
    """Time every runtime that is able, in turns, and write down what each took.

    Raises:
        MachineError: this package itself failed.
    """
    able = {entry.name: entry for entry in entries if "failed" not in entry.facts}
    works = {
        name: partial(_once, entry) for name, entry in able.items() if entry.worker is not None
    }
    seconds = interleaved(works, rounds)
    for name in seconds:
        entry = able[name]
        entry.facts |= _speed(seconds, entry, work) | _asked(entry)
        say(_line(entry))
    uneven = [name for name in seconds if _spread(able[name]) > _WIDE]
    if uneven:
        say(
            f"rounds of {'; '.join(uneven)} lie {_WIDE:.0%} apart and more: measure anew with "
            "nothing else running, or give more --rounds"
        )


def _once(entry: Entry) -> float | None:
    assert entry.worker is not None
    return timed(entry.worker, entry.name, entry.facts, is_needed=entry.is_reference)


def _speed(seconds: Seconds, entry: Entry, work: Work) -> Row:
    """Return a runtime's speed, and how many times as fast ours is.

    It is compared with this package's run of the same model or, for another family, of the
    ModernBERT of its size.
    """
    tokens, own = sum(work.lengths), seconds[entry.name]
    found = ratio(own, seconds[f"{SHAPES[entry.model].beside}, {OURS}"])
    low, _, high = quantiles([tokens / each for each in own], n=4, method="inclusive")
    return {
        "tokens_per_second": round(tokens / median(own), 1),
        "speed_quartiles": [round(low, 1), round(high, 1)],
        "ours_is_faster": round(found.middle, 3),
        "quartiles": [round(found.low, 3), round(found.high, 3)],
    }


def _spread(entry: Entry) -> float:
    """Return how far the quartiles of a ratio lie apart, as a share of its median."""
    low, high = entry.facts["quartiles"]
    return float((high - low) / entry.facts["ours_is_faster"])


def _asked(entry: Entry) -> Row:
    assert entry.worker is not None
    found = {what: entry.worker.ask(what) for what in ("peak", "joules")}
    told = {what: None if isinstance(each, Failure) else each for what, each in found.items()}
    return {"peak_bytes": told["peak"], "joules": told["joules"]}


def _tell(entry: Entry) -> None:
    if "failed" in entry.facts:
        say(f"{entry.name} is left out: {entry.facts['failed']}")


def _line(entry: Entry) -> str:
    facts = entry.facts
    (low, high), memory = facts["quartiles"], facts["peak_bytes"]
    said = "" if memory is None else f", {memory / 2**20:.0f} MiB above the weights"
    return (
        f"{entry.name}: {facts['tokens_per_second']:.0f} tok/s{said}; ours is "
        f"{facts['ours_is_faster']:.2f}x as fast ({low:.2f} to {high:.2f})"
    )
