"""A runtime in a process of its own: questions on a pipe in, seconds, bytes and vectors out.

Threads of one runtime never disturb another's, memory is told apart, and what one runtime asks
for in vain does not end the others.
"""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.machine import memory_bytes, peak_bytes, resident_bytes, start_peak
from modernbert.bench.cases import ForwardCase, batches_of
from modernbert.bench.runtimes import RUNTIMES, Encode, rows_of

Question = Literal["rows", "seconds", "peak"]
Rows = list[NDArray[np.float32]]
"""Vectors of a batch's tokens, for each batch."""

_MEMORY_SHARE = 0.75
"""Of the machine's memory that one runtime may take before it is refused more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a runtime gave no answer."""

    reason: str


class Worker:
    """The near end of a runtime's process."""

    def __init__(self, name: str, folder: Path, case: ForwardCase, threads: int) -> None:
        # Forked processes would share the state of thread pools.
        context = get_context("spawn")
        self._near, far = context.Pipe()
        given = (far, name, folder, case, threads)
        self._process = context.Process(target=_answer, args=given, daemon=True)
        _start(self._process)
        far.close()

    def ask(self, question: Question) -> Any:
        """Return the answer, or a Failure when the runtime could not give one."""
        try:
            self._near.send(question)
            return self._near.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return Failure(f"its process ended with status {self._process.exitcode}")

    def __enter__(self) -> Self:
        """Return the worker, whose process ends with the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let an idle process go; one whose answer nobody waits for any more is stopped."""
        self._near.close()
        if kind is not None:
            self._process.kill()
        self._process.join()


def apart(work: Callable[[Path], None], folder: Path) -> None:
    """Do some work in a process that ends with it, and takes its memory along.

    What it failed to make is missed by who needs it.
    """
    process = get_context("spawn").Process(target=_quietly, args=(work, folder))
    _start(process)
    try:
        process.join()
    finally:
        process.kill()


def _start(process: BaseProcess) -> None:
    """Start a process that Ctrl-C does not reach: ours hears it, and ends its processes."""
    # Started by the way otherwise, which would let the signal through again.
    resource_tracker.ensure_running()
    with _later(signal.SIGINT), _later(signal.SIGTERM):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _later(number: signal.Signals) -> Iterator[None]:
    """Hold a signal back, whichever thread it reached: a process half started would complain."""
    heard: list[int] = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        yield
    finally:
        signal.signal(number, before)
    if heard:
        signal.raise_signal(number)


def _quietly(work: Callable[[Path], None], folder: Path) -> None:
    _hush()
    work(folder)


def _hush() -> None:
    """Silence progress bars and warnings of others; what fails is told through the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def drawn(case: ForwardCase, vocab_size: int) -> list[list[Tensor]]:
    """Return a case's documents in their batches: random ids, the same for every runtime."""
    state = torch.Generator().manual_seed(0)
    # Rows of an embedding table that is mapped from a file are memory once they are read: few of
    # them, then, and none of the special tokens at the end.
    limit = max(1, min(1024, vocab_size - 100))
    return [
        [torch.randint(limit, (length,), generator=state) for length in batch]
        for batch in batches_of(case)
    ]


def _answer(far: Connection, name: str, folder: Path, case: ForwardCase, threads: int) -> None:
    _hush()
    limit = int(memory_bytes() * _MEMORY_SHARE)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.set_num_threads(threads)
    answers: dict[str, Callable[[], Any]] | Failure = _tried(lambda: _answers(name, folder, case))
    while True:
        try:
            question = far.recv()
        except EOFError:
            return
        known = answers
        far.send(known if isinstance(known, Failure) else _tried(known[question]))


def _tried(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        first = str(error).strip().splitlines()
        return Failure(f"{type(error).__name__}: {first[0] if first else 'no reason given'}")


def _answers(name: str, folder: Path, case: ForwardCase) -> dict[str, Callable[[], Any]]:
    from modernbert.model.folder import read_config

    batches = drawn(case, read_config(folder).vocab_size)
    encode = RUNTIMES[name](folder, case.precision)
    # Weights that are mapped from a file are memory only once they were used.
    encode([batches[0][0][:4]])
    before = resident_bytes()

    def rows() -> Rows:
        found = (rows_of(encode(batch), batch) for batch in batches)
        return [each.float().numpy() for each in found]

    def peak() -> int | None:
        if before is None or not start_peak():
            return None
        _encode_all(encode, batches)
        highest = peak_bytes()
        return None if highest is None else highest - before

    return {"rows": rows, "seconds": lambda: _encode_all(encode, batches), "peak": peak}


def _encode_all(encode: Encode, batches: list[list[Tensor]]) -> float:
    start = time.perf_counter()
    for batch in batches:
        encode(batch)
    return time.perf_counter() - start
