"""What a person reads while a command works: lines on standard error, a bar on a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error: results of a command go to standard output, so that a pipe sees them alone."""

_QUIET_SECONDS = 5.0


class Meter(Protocol):
    """What a long job tells how far it is."""

    def at(self, done: float, note: str = "") -> None:
        """Say how much of the total is done, and what is in hand."""


def say(text: str) -> None:
    """Print a line for a person."""
    console.print(text, markup=False)


@contextmanager
def hushed() -> Iterator[None]:
    """Say nothing of what was said before."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


@contextmanager
def meter(title: str, total: float, *, is_still: bool = False) -> Iterator[Meter]:
    """Show how far a job is: a bar on a terminal, a plain line every five seconds elsewhere.

    A bar that is still is drawn when it is told something and at no other time: what is measured
    meanwhile has the processor to itself.
    """
    if not console.is_terminal:
        yield _Lines(title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, auto_refresh=not is_still)
    with bar as progress:
        yield _Bar(progress, title, total)


class _Bar:
    def __init__(self, progress: Progress, title: str, total: float) -> None:
        self._progress, self._title = progress, title
        self._task = progress.add_task(title, total=total)

    def at(self, done: float, note: str = "") -> None:
        said = note or self._title
        still = not self._progress.live.auto_refresh
        self._progress.update(self._task, completed=done, description=said, refresh=still)


class _Lines:
    def __init__(self, title: str, total: float) -> None:
        self._title, self._total = title, total
        self._spoke = time.monotonic()

    def at(self, done: float, note: str = "") -> None:
        now = time.monotonic()
        if now - self._spoke >= _QUIET_SECONDS:
            self._spoke = now
            say(f"{self._title}: {done / self._total:.0%}{note and f' ({note})'}")


def count(number: float) -> str:
    """Spell a large number shortly, to three digits: 1.2k, 3.4M, 5.6B."""
    number = float(f"{number:.3g}")
    for limit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            share = number / limit
            return f"{share:.0f}{suffix}" if abs(share) >= 1e3 else f"{share:.3g}{suffix}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """Spell a time shortly: 42 s, 3 min 20 s, 5 h 12 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
