"""Documents of many requests in, what is read out of them out: computed together, the short first.

Short texts and long ones wait in lines of their own, and a thread computes each line in batches.
The system prefers the thread of short texts: long ones take what it leaves, and in any case a tenth
of each core. What is longer than a batch is computed alone.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from modernbert.base.errors import MachineError, NumbersError
from modernbert.base.threads import limit
from modernbert.infer.embed import packed
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText
from modernbert.infer.tuning import Tuning
from modernbert.infer.waiting import Line
from modernbert.infer.work import Readout, Work, check_finite, read_out

_SHORT_TOKENS = 512
"""Of a query or passage; whoever is longer waits in the other line."""
_NICENESS = {"short": 0, "long": 10}
"""By which the system prefers short texts: of a core that both want, they take nine tenths."""
_PATIENCE = {"short": 4.0, "long": 16.0}
"""Long ones take longer than their tokens say, and 4 of them are due before the last is computed:
by 4 alone a passage would wait for all of them (lab/LOG.md)."""

Watch = Callable[[int, int], None]
"""Is told of each batch: documents and tokens."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read out of a request's documents, and how long that took."""

    rows: Sequence[Tensor]
    queue_s: float
    """Until the first of them was computed."""
    inference_s: float
    """From then until the last one was."""


@final
class Ticket:
    """A request that waits for its documents; its future belongs to an event loop."""

    def __init__(self, work: Work[Any], future: asyncio.Future[Rows]) -> None:
        """Begin to wait."""
        self.work, self.future = work, future
        self.joined = time.perf_counter()
        self._begun: float | None = None
        self._rows: dict[int, Tensor] = {}
        self._outcome: Rows | Exception | None = None

    def begin(self, now: float) -> None:
        """Note when the first document is computed."""
        self._begun = now if self._begun is None else self._begun

    def take(self, number: int, row: Tensor) -> bool:
        """Keep what one document gave, and return whether it was the last one."""
        self._rows[number] = row
        if len(self._rows) < len(self.work.documents) or self._outcome is not None:
            return False
        now, begun = time.perf_counter(), self._begun or self.joined
        rows = [self._rows[each] for each in range(len(self._rows))]
        self._outcome = Rows(rows, begun - self.joined, now - begun)
        return True

    def fail(self, error: Exception) -> bool:
        """Keep what went wrong, and return whether nothing did before."""
        is_first = self._outcome is None
        self._outcome = error if is_first else self._outcome
        return is_first

    def settle(self) -> None:
        """Tell whoever asked, in its event loop; perhaps nobody is there any more."""
        if self.future.done():
            return
        if isinstance(self._outcome, Exception):
            self.future.set_exception(self._outcome)
        elif self._outcome is not None:
            self.future.set_result(self._outcome)


@dataclass(frozen=True, slots=True)
class _Place:
    """A document in a line."""

    ticket: Ticket
    number: int

    @property
    def read(self) -> ReadText:
        return self.ticket.work.documents[self.number]


@final
class Lanes:
    """The threads that compute a model, and the lines before them."""

    def __init__(self, model: Pretrained, tuning: Tuning, watch: Watch | None = None) -> None:
        """Start them; each has as many of torch's threads as was found best."""
        self._model, self.tuning, self._watch = model, tuning, watch
        self._changed = threading.Condition()
        self._is_closed = False
        # A GPU computes one batch after the other, whoever asks.
        self._is_split = model.runs.device.type == "cpu"
        names = [*_NICENESS] if self._is_split else ["short"]
        seconds = tuning.seconds_a_token
        self._lines = {name: Line[_Place](seconds, _PATIENCE[name]) for name in names}
        self._threads: dict[str, threading.Thread] = {}
        with self._changed:
            self._start("short")

    def _start(self, name: str) -> None:
        """Start the thread of a line, where it does not run."""
        if name not in self._threads:
            thread = threading.Thread(target=self._serve, args=(name,), name=name, daemon=True)
            self._threads[name] = thread
            thread.start()

    @property
    def waiting(self) -> tuple[int, int]:
        """How many documents wait, and how many tokens they have."""
        with self._changed:
            lines = self._lines.values()
            return sum(map(len, lines)), sum(line.tokens for line in lines)

    def submit(self, ticket: Ticket) -> None:
        """Let the documents of a request be computed.

        Raises:
            MachineError: the lanes are closed.
        """
        documents = ticket.work.documents
        # Alike lengths meet in batches.
        order = sorted(range(len(documents)), key=lambda number: -len(documents[number].ids))
        places = [_Place(ticket, number) for number in order]
        with self._changed:
            self.check_open()
            for name, line in self._lines.items():
                some = [place for place in places if self._lane_of(place) == name]
                lengths = [len(place.read.ids) for place in some]
                line.join(ticket.joined, lengths, ticket.work.readout, some)
                if some:
                    self._start(name)
            self._changed.notify_all()

    def forget(self, ticket: Ticket) -> None:
        """Take the documents of a request out of the lines: nobody waits for it any more."""
        with self._changed:
            for line in self._lines.values():
                line.drop(lambda place: place.ticket is ticket)

    def check_open(self) -> None:
        """Refuse work once `close` was called.

        Raises:
            MachineError: it was.
        """
        if self._is_closed:
            raise MachineError("the engine is closed: open another one")

    def close(self) -> None:
        """Compute whatever waits, then end the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()

    def _lane_of(self, place: _Place) -> str:
        is_long = self._is_split and len(place.read.ids) > _SHORT_TOKENS
        return "long" if is_long else "short"

    def _most_tokens(self, kind: Hashable) -> int:
        readout: Readout = kind  # type: ignore[assignment]
        return min(self.tuning.batch_tokens, readout.most_tokens)

    def _serve(self, name: str) -> None:
        """Compute one batch after the other until there is nothing left.

        The thread of short texts waits for more; the other one ends, and what OpenMP started for
        it ends too, or small batches would be slower from then on (`base.threads.alone`).
        """
        if _NICENESS[name]:
            _step_back(_NICENESS[name])
        limit(self.tuning.threads)
        while places := self._next(name):
            _tell(self._computed(places))

    def _next(self, name: str) -> list[_Place]:
        """Return the next batch of a line; none where its thread is to end."""
        line = self._lines[name]
        with self._changed:
            if name == "short":
                self._changed.wait_for(lambda: len(line) or self._is_closed)
            if len(line):
                return line.take(self._most_tokens)
            del self._threads[name]
            return []

    def _computed(self, places: Sequence[_Place]) -> list[Ticket]:
        """Compute a batch, and return the requests that wait for nothing else."""
        now = time.perf_counter()
        for place in places:
            place.ticket.begin(now)
        try:
            read = [place.read for place in places]
            batch = packed([each.ids for each in read]).to(self._model.runs.device)
            if self._watch is not None:
                self._watch(len(read), len(batch.ids))
            rows = read_out(self._model, places[0].ticket.work.readout, batch, read)
        except Exception as error:  # of any kind: it belongs to whoever asked, not to this thread
            if len(places) == 1:
                return self._failed(places[0].ticket, error)
            # One document's fault is not that of the others in its batch.
            return [ticket for place in places for ticket in self._computed([place])]
        return [
            ticket
            for place, row in zip(places, rows, strict=True)
            for ticket in self._taken(place, row)
        ]

    def _taken(self, place: _Place, row: Tensor) -> list[Ticket]:
        try:
            check_finite(row, place.number)
        except NumbersError as error:
            return self._failed(place.ticket, error)
        return [place.ticket] if place.ticket.take(place.number, row) else []

    def _failed(self, ticket: Ticket, error: Exception) -> list[Ticket]:
        """Keep what went wrong; the rest of the request need not be computed."""
        self.forget(ticket)
        return [ticket] if ticket.fail(error) else []


def _tell(tickets: Sequence[Ticket]) -> None:
    """Settle requests in their event loop, all at once: to wake it costs more than to settle."""
    if not tickets:
        return
    with suppress(RuntimeError):  # the loop has ended, and with it whoever asked
        tickets[0].future.get_loop().call_soon_threadsafe(_settle, tickets)


def _settle(tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        ticket.settle()


def _step_back(niceness: int) -> None:
    """Let the system prefer the process's other threads to this one and those that it starts."""
    with suppress(OSError, AttributeError):  # another system, where all are equal
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, now + niceness)
