import threading
import time

import pytest

from modernbert.data.prefetch import prefetch


def names():
    return [thread.name for thread in threading.enumerate()]


def wait_until(claim):
    deadline = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_items_come_in_order(depth):
    assert list(prefetch(iter(range(50)), depth)) == list(range(50))
    assert list(prefetch(iter([]), depth)) == []
    assert "prefetch" not in names()


def test_none_and_errors_may_be_items():
    items = [None, ValueError("an item, not raised"), ()]
    assert list(prefetch(iter(items), 2)) == items


def test_an_error_is_raised_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise KeyError("broken")

    found = prefetch(items(), 5)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(KeyError, match="broken"):
        next(found)
    assert list(found) == []
    assert "prefetch" not in names()


def test_no_more_is_made_ahead_than_asked_for():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    found = prefetch(items(), 3)
    next(found)
    wait_until(lambda: len(made) == 4)
    time.sleep(0.02)
    assert len(made) == 4
    found.close()


def test_closing_stops_the_thread_and_closes_the_source():
    closed = []

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    found = prefetch(items(), 2)
    next(found)
    found.close()
    assert closed == ["prefetch"]
    assert "prefetch" not in names()


def test_dropping_the_iterator_stops_the_thread():
    found = prefetch(iter(int, 1), 2)
    next(found)
    assert "prefetch" in names()
    del found
    assert "prefetch" not in names()
