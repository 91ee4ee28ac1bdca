"""Documents of many requests in, what is read out of them out: computed together, the short first.

Queries, passages and whole documents wait in lines of their own, and a thread computes each line in
batches. The system prefers the threads of shorter texts: longer ones take what these leave, and in
any case some of each core. What is longer than a batch is computed alone.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from modernbert.base.errors import MachineError
from modernbert.infer.embed import packed
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText
from modernbert.infer.tuning import Tuning
from modernbert.infer.waiting import Line
from modernbert.infer.work import Readout, Work, check_finite, read_out

_QUERY_TOKENS = 128
_NICENESS = {"queries": 0, "passages": 5, "documents": 10}
"""By which the system prefers short texts: of a core that all want, queries take 70%, passages 23%
and documents 7%."""

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
class _Ticket:
    """A request that waits for its documents."""

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.future: Future[Rows] = Future()
        self.joined = time.perf_counter()
        self._begun: float | None = None
        self._rows: dict[int, Tensor] = {}

    def begin(self, now: float) -> None:
        self._begun = now if self._begun is None else self._begun

    def take(self, number: int, row: Tensor) -> None:
        """Keep what one document gave; the last one ends the waiting."""
        self._rows[number] = row
        if len(self._rows) < len(self.work.documents):
            return
        now, begun = time.perf_counter(), self._begun or self.joined
        rows = [self._rows[each] for each in range(len(self._rows))]
        with suppress(Exception):  # whoever asked has gone
            self.future.set_result(Rows(rows, begun - self.joined, now - begun))

    def fail(self, error: BaseException) -> None:
        with suppress(Exception):  # another document failed before, or whoever asked has gone
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Place:
    """A document in a line."""

    ticket: _Ticket
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
        names = [*_NICENESS] if self._is_split else ["queries"]
        self._lines = {name: Line[_Place](tuning.seconds_a_token) for name in names}
        self._threads = [
            threading.Thread(target=self._serve, args=(name,), name=name, daemon=True)
            for name in names
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> tuple[int, int]:
        """How many documents wait, and how many tokens they have."""
        with self._changed:
            lines = self._lines.values()
            return sum(map(len, lines)), sum(line.tokens for line in lines)

    def submit(self, work: Work[Any]) -> "Future[Rows]":
        """Let documents be computed; to cancel what is given back takes them out of the line.

        Raises:
            MachineError: the lanes are closed.
        """
        ticket = _Ticket(work)
        if not work.documents:
            ticket.future.set_result(Rows([], 0.0, 0.0))
            return ticket.future
        places = [_Place(ticket, number) for number in range(len(work.documents))]
        # Alike lengths meet in batches.
        places.sort(key=lambda place: -len(place.read.ids))
        with self._changed:
            self.check_open()
            for name, line in self._lines.items():
                some = [place for place in places if self._lane_of(place) == name]
                line.join(
                    ticket.joined, [len(place.read.ids) for place in some], work.readout, some
                )
            self._changed.notify_all()
        ticket.future.add_done_callback(self._forget)
        return ticket.future

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
        for thread in self._threads:
            thread.join()

    def _lane_of(self, place: _Place) -> str:
        length = len(place.read.ids)
        if not self._is_split or length <= _QUERY_TOKENS:
            return "queries"
        return "passages" if length <= self.tuning.batch_tokens else "documents"

    def _forget(self, future: "Future[Rows]") -> None:
        """Take the documents of a request that was cancelled, or failed, out of the lines."""
        if not (future.cancelled() or future.exception()):
            return
        with self._changed:
            for line in self._lines.values():
                line.drop(lambda place: place.ticket.future is future)

    def _most_tokens(self, kind: Hashable) -> int:
        readout: Readout = kind  # type: ignore[assignment]
        return min(self.tuning.batch_tokens, readout.most_tokens)

    def _serve(self, name: str) -> None:
        """Compute one batch after the other until there is nothing left and all is closed."""
        if _NICENESS[name]:
            _step_back(_NICENESS[name])
        torch.get_num_threads()  # the first call in a thread takes everyone's number over
        torch.set_num_threads(self.tuning.threads)
        line = self._lines[name]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(line) or self._is_closed)
                if not len(line):
                    return
                places = line.take(self._most_tokens)
            self._compute(places)

    def _compute(self, places: Sequence[_Place]) -> None:
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
                places[0].ticket.fail(error)
                return
            # One document's fault is not that of the others in its batch.
            for place in places:
                self._compute([place])
            return
        for place, row in zip(places, rows, strict=True):
            _hand_over(place, row)


def _hand_over(place: _Place, row: Tensor) -> None:
    try:
        check_finite(row, place.number)
    except Exception as error:
        place.ticket.fail(error)
        return
    place.ticket.take(place.number, row)


def _step_back(niceness: int) -> None:
    """Let the system prefer other threads to this one and those that it starts."""
    with suppress(OSError, AttributeError):  # another system, where all are equal
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
