"""Ctrl-C in, a flag out: the step in hand is finished and saved before a run stops."""

import signal
import time
from types import TracebackType
from typing import Self

from modernbert.base import dist
from modernbert.base.log import say

_ECHO_S = 0.3
"""A launcher passes on the Ctrl-C that its processes have heard already."""


class StopRequest:
    """Catches the first Ctrl-C or SIGTERM inside its block; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.is_made = False
        self._told = 0.0
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
        now = time.monotonic()
        if self.is_made:
            if dist.world_size() > 1 and now - self._told < _ECHO_S:
                return
            raise KeyboardInterrupt
        self.is_made, self._told = True, now
        say("stopping after this step (again to stop at once)")
