"""Ctrl-C in, a flag out: the step in hand is finished and saved before a run stops."""

import signal
from types import TracebackType
from typing import Self

from modernbert.base.log import say


class StopRequest:
    """Catches the first Ctrl-C or SIGTERM inside its block; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.is_made = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._noticed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _noticed(self, *_: object) -> None:
        if self.is_made:
            raise KeyboardInterrupt
        self.is_made = True
        say("stopping after this step (again to stop at once)")
