from modernbert.base import log
from modernbert.bench.measure import compare, interleaved, ratio, told


def test_every_work_runs_once_a_round_and_the_first_round_is_left_out():
    order = []

    def work(name, seconds):
        def run():
            order.append(name)
            return seconds

        return run

    found = interleaved({"a": work("a", 1.0), "b": work("b", 2.0), "c": work("c", 3.0)}, rounds=3)
    assert found == {"a": [1.0] * 3, "b": [2.0] * 3, "c": [3.0] * 3}
    assert [order[at : at + 3] for at in range(0, 12, 3)] == [
        ["a", "b", "c"],
        ["c", "b", "a"],
        ["b", "c", "a"],
        ["a", "c", "b"],
    ]


def test_a_work_that_fails_is_left_out():
    answers = iter([1.0, 1.0, None])
    found = interleaved({"a": lambda: 2.0, "b": lambda: next(answers)}, rounds=3)
    assert found == {"a": [2.0] * 3}


def test_what_is_in_hand_is_said(capsys, monkeypatch):
    monkeypatch.setattr(log, "_QUIET_SECONDS", 0.0)
    interleaved({"a": lambda: 1.0, "b": lambda: 1.0}, rounds=2)
    assert [*told("comparing", ["a"])] == ["a"]
    assert capsys.readouterr().err.splitlines() == [
        "measuring: 0% (warming up, a)",
        "measuring: 17% (warming up, b)",
        "measuring: 33% (round 1 of 2, b)",
        "measuring: 50% (round 1 of 2, a)",
        "measuring: 67% (round 2 of 2, b)",
        "measuring: 83% (round 2 of 2, a)",
        "comparing: 0% (comparing, a)",
    ]


def test_a_ratio_is_taken_round_by_round():
    # The third round was disturbed: both took ten times as long.
    found = ratio([2.0, 4.0, 20.0], [1.0, 2.0, 10.0])
    assert (found.low, found.middle, found.high) == (2.0, 2.0, 2.0)


def test_two_works_are_compared():
    found = compare(lambda: None, lambda: sum(range(300_000)), rounds=3)
    assert found.ratio.low > 1
    assert found.theirs_s > found.ours_s
