"""Moments of a run out, a row each in `events.jsonl`: begun, resumed, saved, stopped, finished."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modernbert.base import dist, files
from modernbert.base.records import to_plain
from modernbert.train.feed import Progress
from modernbert.train.rows import METRICS, steps_in

EVENTS = "events.jsonl"

Kind = Literal["start", "resume", "checkpoint", "stop", "failure", "finish"]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of `events.jsonl`. Rows stay, also those of steps that are taken again."""

    step: int
    tokens: int
    kind: Kind
    time: float
    """Seconds since 1970, in UTC."""
    ranks: int
    """Processes that train together."""
    repeated: int
    """Steps after this one that had been taken before a resume, and are taken again."""


def record(folder: Path, kind: Kind, progress: Progress) -> None:
    """Append the row of a moment; of several ranks the first alone writes.

    A resume is recorded before the rows of steps that are taken again are dropped.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    if dist.rank():
        return
    taken = steps_in(folder / METRICS)[-1:] if kind == "resume" else []
    row = EventRow(
        step=progress.step,
        tokens=progress.tokens,
        kind=kind,
        time=round(time.time(), 3),
        ranks=dist.world_size(),
        repeated=max([0, *(last["step"] - progress.step for last in taken)]),
    )
    files.append(folder / EVENTS, json.dumps(to_plain(row)) + "\n")
