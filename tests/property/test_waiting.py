"""Whatever arrives: no batch is too large, kinds stay apart, and nobody waits for ever."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.infer.waiting import Line, Waiting, choose, due_times

MOST = 64
SECONDS = 1e-3
REQUESTS = st.lists(
    st.tuples(
        st.floats(0, 0.2),
        st.lists(st.integers(1, 100), min_size=1, max_size=6),
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=30,
)


def simulated(requests):
    """Yield each batch with the time at which it is begun, and all that waits then."""
    arrivals, now = [], 0.0
    for pause, lengths, kind in requests:
        now += pause
        arrivals.append((now, lengths, kind))
    line, waiting, clock, number = Line(SECONDS), [], 0.0, 0
    while arrivals or len(line):
        if not len(line):
            clock = max(clock, arrivals[0][0])
        while arrivals and arrivals[0][0] <= clock:
            at, lengths, kind = arrivals.pop(0)
            items = []
            for due, tokens in zip(due_times(at, lengths, SECONDS), lengths, strict=True):
                items.append(Waiting(due, number, tokens, kind, at))
                number += 1
            line.join(at, lengths, kind, items)
            waiting += items
        batch = line.take(lambda kind: MOST if kind == "a" else MOST // 2)
        yield clock, batch, list(waiting)
        waiting = [each for each in waiting if each not in batch]
        assert len(line) == len(waiting)
        assert line.tokens == sum(each.tokens for each in waiting)
        clock += SECONDS * sum(each.tokens for each in batch)


@given(REQUESTS)
@settings(deadline=None)
def test_budgets_hold_and_kinds_stay_apart(requests):
    for _, batch, _ in simulated(requests):
        (kind,) = {each.kind for each in batch}
        assert len(batch) == 1 or sum(each.tokens for each in batch) <= {"a": MOST}.get(kind, 32)


@given(REQUESTS)
@settings(deadline=None)
def test_all_are_computed_once_and_who_is_due_first_leads(requests):
    taken = []
    for _, batch, waiting in simulated(requests):
        assert batch == sorted(batch)
        assert batch[0] == min(waiting)
        taken += batch
    assert sorted(each.number for each in taken) == list(range(len(taken)))
    assert len(taken) == sum(len(lengths) for _, lengths, _ in requests)


@given(REQUESTS)
@settings(deadline=None)
def test_nobody_starves(requests):
    batches = list(simulated(requests))
    places = {each: at for at, (_, batch, _) in enumerate(batches) for each in batch}
    for who, place in places.items():
        begun = next(at for at, (clock, _, waiting) in enumerate(batches) if who in waiting)
        late = [at for at in range(begun, place) if batches[at][0] >= who.due]
        if not late:
            continue
        ahead = [each for each in batches[late[0]][2] if each < who]
        # Whoever comes after one is due stands behind, so only those ahead can lead a batch.
        assert len(late) <= len(ahead)


@given(REQUESTS)
@settings(deadline=None)
def test_equal_texts_of_one_kind_keep_their_order(requests):
    taken = [each for _, batch, _ in simulated(requests) for each in batch]
    alone = {}
    for each in taken:
        # The first of each request: later ones count those before them.
        key = (each.kind, each.tokens)
        if abs(each.due - each.item - 4 * SECONDS * each.tokens) < 1e-9:
            alone.setdefault(key, []).append(each.number)
    for numbers in alone.values():
        assert numbers == sorted(numbers)


def test_a_short_text_passes_a_long_one_that_came_a_little_earlier():
    line = Line(SECONDS)
    line.join(0.0, [60], "a", ["long"])
    line.join(0.1, [10], "a", ["short"])
    line.join(0.3, [60], "a", ["too late"])
    assert [line.take(lambda _: 64) for _ in range(3)] == [["short"], ["long"], ["too late"]]


def test_a_large_request_lets_a_small_one_pass():
    line = Line(SECONDS)
    line.join(0.0, [32] * 20, "a", list(range(20)))
    line.join(0.1, [32], "a", ["alone"])
    assert "alone" in line.take(lambda _: 64)


def test_what_is_left_of_a_batch_goes_to_those_that_fit():
    line = [
        Waiting(at, at, tokens, kind, None)
        for at, (tokens, kind) in enumerate(
            [(40, "a"), (30, "a"), (10, "b"), (20, "a"), (5, "a"), (4, "a")]
        )
    ]
    assert choose(line, 64) == [0, 3, 5]
    assert choose(line[1:], 10) == [0]


def test_those_who_are_gone_leave_the_line():
    line = Line(SECONDS)
    line.join(0.0, [3, 4, 5], "a", ["x", "y", "z"])
    assert line.drop(lambda item: item == "y") == 1
    assert (len(line), line.tokens) == (2, 8)
    assert line.take(lambda _: 64) == ["x", "z"]


def test_patience_decides_how_long_a_long_document_is_passed():
    for patience, first in ((4.0, "long"), (16.0, "short")):
        line = Line(SECONDS, patience)
        line.join(0.0, [8000], "kind", ["long"])
        line.join(5 * 8000 * SECONDS, [600], "kind", ["short"])
        assert line.take(lambda _: 512) == [first]
