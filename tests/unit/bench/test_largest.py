import time

import pytest

from modernbert.bench import largest as module
from modernbert.bench.efficiency_case import EfficiencyCase, Work
from modernbert.bench.largest import Largest, largest, measure_largest
from modernbert.bench.worker import Failure


def stands_in(monkeypatch, answer):
    """Let no process be started: `answer(documents, seconds)` is what each would say."""

    class Process:
        def __init__(self, make, *_):
            self.documents = len(make.args[2].lengths)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, _, seconds):
            return answer(self.documents, seconds)

    monkeypatch.setattr(module, "Worker", Process)


def searched(tmp_path, **asked):
    case = EfficiencyCase(largest_batch=True, **asked)
    return measure_largest("modernbert", tmp_path, Work(((512,),), "float32", "cpu"), case)


@pytest.mark.parametrize("truth", [1, 2, 3, 7, 16, 100, 777, 1000])
def test_the_largest_batch_is_found_to_a_sixteenth(truth):
    tried = []

    def fits(number):
        tried.append(number)
        return number <= truth

    found = largest(fits, 4096, lambda: False)
    assert found.stopped_by == "memory"
    assert truth / 1.0625 - 1 < found.documents <= truth < found.too_many
    assert max(tried) <= 2 * truth
    assert len(tried) == len(set(tried)) <= 16


def test_a_search_ends_at_its_limit():
    assert largest(lambda _: True, 100, lambda: False) == Largest(100, "limit")
    assert largest(lambda _: True, 1, lambda: False) == Largest(1, "limit")


@pytest.mark.parametrize(
    ("reason", "stopped_by"),
    [
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", "memory"),
        ("std::bad_alloc", "memory"),
        ("its process ended with status -9", "memory"),
        ("ValueError: a shape does not fit", "failure"),
    ],
)
def test_only_what_lacks_memory_says_so(monkeypatch, tmp_path, reason, stopped_by):
    stands_in(monkeypatch, lambda documents, _: None if documents < 3 else Failure(reason))
    found = searched(tmp_path, largest_batch_gib=1)
    assert found == {"documents": 2, "stopped_by": stopped_by, "too_many": 3, "reason": reason}


def test_nothing_fits():
    assert largest(lambda _: False, 100, lambda: False) == Largest(0, "memory", 1)


def test_what_had_no_time_left_says_nothing_of_memory():
    answers = iter([True, True, False])
    assert largest(lambda _: next(answers), 100, lambda: True) == Largest(2, "time")
    late = iter([False, True])
    found = largest(lambda number: number <= 4, 100, lambda: next(late))
    assert found == Largest(4, "time", 8)


def test_what_ran_out_of_time_is_no_reason(monkeypatch, tmp_path, capsys):
    def late(_, seconds):
        time.sleep(seconds)
        return Failure("no answer within 0 s")

    stands_in(monkeypatch, late)
    found = searched(tmp_path, largest_batch_gib=1, largest_batch_minutes=1e-4)
    assert found == {"documents": 0, "stopped_by": "time", "too_many": None, "reason": None}
    assert "0 or more documents of 512 in a batch; stopped by time" in capsys.readouterr().err


def test_a_search_that_finds_nothing_says_why(monkeypatch, tmp_path, capsys):
    refused = Failure("RuntimeError: [enforce fail at alloc_cpu.cpp]")
    stands_in(monkeypatch, lambda *_: refused)
    searched(tmp_path, largest_batch_gib=0.5)
    assert "modernbert: 0 documents of 512 in a batch; stopped by memory: RuntimeError" in (
        capsys.readouterr().err
    )
