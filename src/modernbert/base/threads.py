"""Pieces of work in, their results out: side by side, each with a share of torch's threads."""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

P = TypeVar("P")
R = TypeVar("R")


def side_by_side(work: Callable[[P], R], pieces: Sequence[P]) -> list[R]:
    """Do the same work on every piece at once; results keep the order.

    Gradients are off until the work itself turns them on.
    The caller's threads are divided among the pieces. An operation that has fewer threads to
    itself waits less for the slowest of them. Ctrl-C ends all pieces, after the operations in hand.
    """
    share = torch.get_num_threads() // len(pieces)
    if len(pieces) == 1 or not share:
        return [work(piece) for piece in pieces]
    is_inference, at_work = torch.is_inference_mode_enabled(), set[int]()

    def apart(piece: P) -> R:
        at_work.add(threading.get_ident())
        try:
            # Modes belong to a thread, so that of the caller is entered again.
            with torch.inference_mode(is_inference), torch.no_grad():
                return work(piece)
        finally:
            at_work.discard(threading.get_ident())

    workers = _workers_here(len(pieces), share)
    try:
        results = [workers.submit(apart, piece) for piece in pieces]
        # Ctrl-C in the moment before a wait goes unseen until the wait ends: so none is long.
        while wait(results, timeout=1).not_done:
            pass
        return [result.result() for result in results]
    except KeyboardInterrupt:
        # Python waits for threads before it ends, and nobody wants their results any more.
        _end(at_work)
        _kept.__dict__.clear()
        raise


def alone(work: Callable[[], R], threads: int) -> R:
    """Do some work in a thread that ends with it, with so many of torch's threads.

    What OpenMP starts for a thread ends with it. While there are more of OpenMP's threads than
    cores, whoever waits goes to sleep at once, and small operations take twice as long
    (lab/LOG.md).
    """
    with ThreadPoolExecutor(1, initializer=limit, initargs=(threads,)) as worker:
        return worker.submit(work).result()


def limit(threads: int) -> None:
    """Give this thread so many of torch's threads."""
    torch.get_num_threads()  # the first call in a thread takes everyone's number over
    torch.set_num_threads(threads)


def readers(number: int, name: str) -> ThreadPoolExecutor:
    """Return threads for work beside the computing, for which OpenMP starts none."""
    return ThreadPoolExecutor(number, name, initializer=limit, initargs=(1,))


_kept = threading.local()
"""Each thread that asks has workers of its own, of its own priority: none waits for another's."""


def _workers_here(number: int, threads_each: int) -> ThreadPoolExecutor:
    """Return the workers of this thread; they are kept, for starting is slow."""
    key = f"{number} of {threads_each}"
    if key not in _kept.__dict__:
        _kept.__dict__[key] = _workers(number, threads_each)
    found: ThreadPoolExecutor = _kept.__dict__[key]
    return found


def _workers(number: int, threads_each: int) -> ThreadPoolExecutor:
    """Start threads that torch gives some threads each."""
    threads, started = torch.get_num_threads(), threading.Barrier(number)

    def begin(_: int) -> None:
        limit(threads_each)
        started.wait()

    workers = ThreadPoolExecutor(number, thread_name_prefix="modernbert")
    list(workers.map(begin, range(number)))
    # Torch also remembers the last number for threads that are yet to come.
    torch.set_num_threads(threads)
    return workers


def _end(threads: set[int]) -> None:
    for thread in tuple(threads):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(SystemExit)
        )


# A forked process has none of its parent's threads, and would wait for them.
os.register_at_fork(after_in_child=lambda: _kept.__dict__.clear())
