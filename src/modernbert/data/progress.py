"""How far a build is, in; a bar a source on the terminal, out. Silent where there is none."""

from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


@final
class Progress:
    """A context that draws on standard error while it is a terminal."""

    def __init__(self, size_bytes: int) -> None:
        console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("reading", total=size_bytes)
        self._before = 0

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def show(self, source: str, bytes_read: int, documents: int) -> None:
        """Draw how many of a source's bytes were read, and how many documents are encoded."""
        self._bars.update(
            self._task,
            completed=self._before + bytes_read,
            description=f"{source}: {documents:,} documents",
        )

    def close_source(self, size_bytes: int) -> None:
        """Count a source as read."""
        self._before += size_bytes
        self._bars.update(self._task, completed=self._before)
