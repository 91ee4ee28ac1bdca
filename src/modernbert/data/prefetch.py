"""An iterator in, the same items out, made ahead of time by a background thread."""

from collections.abc import Generator, Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """Yield the items in order while a thread makes up to `depth` of them ahead.

    An exception in the thread is raised here, after the items that came before it. Closing or
    dropping the iterator stops the thread once the item in the making is done, and closes
    `items` in the thread that ran it.
    """
    assert depth > 0
    ready: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    free, stop = Semaphore(depth), Event()
    worker = Thread(target=_work, args=(items, ready, free, stop), name="prefetch", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            free.release()
            yield item[0]
    finally:
        stop.set()
        free.release()
        worker.join()


def _work(
    items: Iterable[T],
    ready: "SimpleQueue[tuple[T] | BaseException | None]",
    free: Semaphore,
    stop: Event,
) -> None:
    """Fill the queue; whatever happens, the last thing put is an error or None."""
    try:
        iterator = iter(items)
        while free.acquire() and not stop.is_set():
            try:
                ready.put((next(iterator),))
            except StopIteration:
                break
        if isinstance(iterator, Generator):
            iterator.close()
    except BaseException as error:  # handed to the consumer, who would otherwise wait for ever
        ready.put(error)
    else:
        ready.put(None)
