"""A way to answer in, a process of its own that answers questions on a pipe out.

Threads of one side never disturb another's, memory is told apart, and what one side asks for in
vain does not end the others.
"""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import torch

from modernbert.base.machine import memory_bytes

Answers = dict[str, Callable[[], Any]]
"""What a process can be asked, by name."""

_WARNINGS = "PYTHONWARNINGS"
_MEMORY_SHARE = 0.75
"""Of the machine's memory that one process may take before it is refused more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process gave no answer."""

    reason: str


def memory_limit() -> int:
    """Return the bytes that a process may take when nobody says otherwise."""
    return int(memory_bytes() * _MEMORY_SHARE)


class Worker:
    """The near end of a process."""

    def __init__(
        self, make: Callable[[], Answers], threads: int, limit_bytes: int | None = None
    ) -> None:
        """Start it; `make` travels there by name, and is called there once.

        It may take `limit_bytes` of memory; without them, three quarters of the machine's.
        """
        limit = limit_bytes or memory_limit()
        # Forked processes would share the state of thread pools.
        context = get_context("spawn")
        self._near, far = context.Pipe()
        given = (far, make, threads, limit)
        self._process = context.Process(target=_answer, args=given, daemon=True)
        _start(self._process)
        far.close()

    def ask(self, question: str, timeout_s: float | None = None) -> Any:
        """Return the answer, or a Failure when the process could not give one.

        One that takes longer than `timeout_s` is ended.
        """
        try:
            self._near.send(question)
            if timeout_s is not None and not self._near.poll(timeout_s):
                self._process.kill()
                return Failure(f"no answer within {timeout_s:.0f} s")
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
    _start_tracker()
    with _later(signal.SIGINT), _later(signal.SIGTERM):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_tracker() -> None:
    """Start what Python cleans up with, before it starts by itself and lets the signal through.

    It would complain of what processes held that are ended on purpose, such as a bar's lock.
    """
    before = os.environ.get(_WARNINGS)
    os.environ[_WARNINGS] = "ignore:resource_tracker:UserWarning"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ[_WARNINGS]
        if before is not None:
            os.environ[_WARNINGS] = before


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


def _answer(far: Connection, make: Callable[[], Answers], threads: int, limit: int) -> None:
    _hush()
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.set_num_threads(threads)
    answers: Answers | Failure = _tried(make)
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
        lines = str(error).strip().splitlines() or ["no reason given"]
        # Some begin with the place in their source, and end with what went wrong.
        said = " ".join(dict.fromkeys((lines[0].strip(), lines[-1].strip())))
        return Failure(f"{type(error).__name__}: {said}")
