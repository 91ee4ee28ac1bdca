"""Rows out: `metrics.jsonl`, TensorBoard where it is installed, and a line for a person."""

import importlib.util
import json
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from modernbert.base import files
from modernbert.base.log import console, count, duration, say
from modernbert.base.records import to_plain
from modernbert.train.rows import METRICS
from modernbert.train.run import Run

_QUIET_SECONDS = 10.0
_SMOOTHED_STEPS = 50


@dataclass(frozen=True, slots=True)
class StepRow:
    """One row of `metrics.jsonl`."""

    step: int
    tokens: int
    phase: str
    loss: float
    masked_accuracy: float
    lr: float
    tokens_per_second: float
    fill: float
    grad_norm: float
    batch_tokens: int
    mfu: float
    """Share of the device's own measured matrix rate that the step reached."""
    seconds: float
    ends_phase: bool


class MetricsFile:
    """Appends each step's row; a reader sees whole lines while the run goes on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS

    def after_step(self, row: StepRow) -> None:
        """Write the row."""
        files.append(self._path, json.dumps(to_plain(row)) + "\n")

    def close(self) -> None:
        """Hold nothing."""


class TensorBoard:
    """Writes the same rows for TensorBoard, into RUN/tensorboard."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # After a resume, points of steps that are taken again are hidden.
        place = str(run.folder / "tensorboard")
        self._writer = SummaryWriter(place, purge_step=run.progress.tokens + 1)

    def after_step(self, row: StepRow) -> None:
        """Write each number against tokens."""
        for name in ("loss", "masked_accuracy", "lr", "tokens_per_second", "fill", "grad_norm"):
            self._writer.add_scalar(name, to_plain(row)[name], row.tokens)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


def has_tensorboard() -> bool:
    """Return whether TensorBoard is installed; it is never required."""
    return importlib.util.find_spec("tensorboard") is not None


class Console:
    """One living line on a terminal; a plain line every ten seconds elsewhere."""

    def __init__(self, run: Run) -> None:
        self._total = run.config.tokens
        self._recent: deque[tuple[int, float]] = deque(maxlen=_SMOOTHED_STEPS)
        self._spoke = 0.0
        self._phase = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=20), TextColumn("{task.description}"), console=console
            )
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()

    def after_step(self, row: StepRow) -> None:
        """Show the row."""
        self._recent.append((row.batch_tokens, row.seconds))
        line = self._line(row)
        if self._bar is not None:
            self._bar.update(self._task, completed=row.tokens, description=line)
        now = time.monotonic()
        due = self._bar is None and now - self._spoke >= _QUIET_SECONDS
        if due or row.ends_phase or row.phase != self._phase:
            self._spoke, self._phase = now, row.phase
            say(line)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()

    def _line(self, row: StepRow) -> str:
        tokens, seconds = (sum(part) for part in zip(*self._recent, strict=True))
        rate = tokens / seconds
        left = max(0, self._total - row.tokens) / rate
        return (
            f"{row.phase} step {row.step} | {count(row.tokens)} of {count(self._total)} tokens | "
            f"loss {row.loss:.3f} acc {row.masked_accuracy:.1%} | lr {row.lr:.1e} | "
            f"{count(rate)} tok/s mfu {row.mfu:.0%} fill {row.fill:.1%} | {duration(left)} left"
        )
