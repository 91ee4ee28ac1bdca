"""A number of permits: whoever wants some takes all of them at once, or waits for its turn."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final


@final
class Permits:
    """Permits of one event loop; first come, first served."""

    def __init__(self, number: int) -> None:
        """Have so many."""
        self.number = number
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, wanted: int) -> bool:
        """Take all that are wanted, or none: then there are too few, or others wait for them."""
        if self._waiting or self.taken + wanted > self.number:
            return False
        self.taken += wanted
        return True

    def give_back(self, number: int) -> None:
        """Return permits; those who wait for them get them in their order."""
        self.taken -= number
        while self._waiting and self.taken + self._waiting[0][0] <= self.number:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.taken += wanted
                turn.set_result(None)

    @asynccontextmanager
    async def held(self, wanted: int) -> AsyncIterator[None]:
        """Wait for permits, and return them at the end; more than there are count as all."""
        wanted = min(wanted, self.number)
        if not self.take(wanted):
            await self._turn(wanted)
        try:
            yield
        finally:
            self.give_back(wanted)

    async def _turn(self, wanted: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(wanted)
            else:
                # It may have kept others waiting who want less.
                self._waiting = deque(each for each in self._waiting if each[1] is not turn)
                self.give_back(0)
            raise
