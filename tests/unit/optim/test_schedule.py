import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.base.errors import ConfigError
from modernbert.optim.schedule import BatchWarmup, LengthWarmup, Schedule
from modernbert.recipes import recipe


def test_climbs_holds_and_falls_as_one_minus_sqrt():
    schedule = Schedule(warmup_tokens=100, decay_tokens=400, floor=0.001)
    assert schedule.at(50, 1000) == 0.5
    assert schedule.at(100, 1000) == schedule.at(600, 1000) == 1.0
    assert schedule.at(700, 1000) == pytest.approx(0.001 + 0.999 * (1 - math.sqrt(0.25)))
    assert schedule.at(1000, 1000) == pytest.approx(0.001)


@pytest.mark.parametrize(("shape", "half"), [("linear", 0.5), ("cosine", 0.5)])
def test_other_falls(shape, half):
    schedule = Schedule(decay_tokens=1000, decay=shape)
    assert schedule.at(0, 1000) == 1.0
    assert schedule.at(500, 1000) == pytest.approx(half)
    assert schedule.at(1000, 1000) == pytest.approx(0.0)


def test_without_a_fall_it_is_constant():
    assert {Schedule().at(tokens, 10) for tokens in range(11)} == {1.0}


def test_overlap_and_negative_stretches_are_refused():
    with pytest.raises(ConfigError, match="do not fit into 100"):
        Schedule(warmup_tokens=60, decay_tokens=60).at(0, 100)
    with pytest.raises(ConfigError, match="must not be negative"):
        Schedule(warmup_tokens=-1)


PAPER = {
    # Table 3: from 768 to 4608 documents of 1024 over 50B tokens in bins of 96, from 448 to 4928
    # over 10B in bins of 56; a bin more on each of 8 devices at a time.
    "modernbert-base": (96, range(768, 4608, 768), 4239),
    "modernbert-large": (56, range(448, 4928, 448), 396),
}


@pytest.mark.parametrize("name", PAPER)
def test_batches_grow_by_the_papers_steps(name):
    documents, sizes, steps = PAPER[name]
    phase = recipe(name).phases[0]
    assert phase.row_tokens == documents * 1024
    found, tokens = {}, 0
    while tokens < 1.02 * phase.batch_warmup.warmup_tokens:
        rows = phase.batch_warmup.rows_at(tokens, phase.row_tokens, phase.batch_tokens)
        found[rows * documents] = found.get(rows * documents, 0) + 1
        tokens += rows * phase.row_tokens
    *growing, full = found
    assert growing == [*sizes]
    assert full == phase.batch_tokens / 1024
    assert all(found[size] == pytest.approx(steps, abs=1) for size in growing)


@given(
    st.integers(0, 400),
    st.integers(0, 50),
    st.integers(1, 10**6),
    st.integers(1, 20),
    st.integers(0, 600),
)
def test_sizes_take_equal_steps_and_grow_by_what_is_asked(first, by, warmup, row, more):
    batch = row + more
    growth = BatchWarmup(first_tokens=first, warmup_tokens=warmup, by_tokens=by)
    sizes, full = growth.sizes(row, batch), max(1, round(batch / row))
    rows = [size for size, _ in sizes]
    assert all(0 < size < full for size in rows)
    assert {b - a for a, b in pairwise(rows)} <= {max(1, round(by / row))}
    if sizes:
        assert sum(share for _, share in sizes) == pytest.approx(1)
        assert {round(share / size, 12) for size, share in sizes} == {round(1 / sum(rows), 12)}
    at = [growth.rows_at(tokens, row, batch) for tokens in range(0, warmup, max(1, warmup // 50))]
    assert at == sorted(at)
    assert {*at} <= {*rows, full}
    assert growth.rows_at(warmup, row, batch) == full


@pytest.mark.parametrize("name", ["first_tokens", "warmup_tokens", "by_tokens"])
def test_a_batch_cannot_grow_by_less_than_nothing(name):
    with pytest.raises(ConfigError, match=r"of a batch warm-up are .*-1.*: none may be negative"):
        BatchWarmup(**{name: -1})


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40))
def test_rows_stay_between_first_and_full(tokens, first, full):
    warmup = BatchWarmup(first_tokens=first * 10, warmup_tokens=10**5)
    rows = warmup.rows_at(tokens, 10, full * 10)
    assert min(first, full) <= rows <= full
    assert rows == full or tokens < 10**5


def test_lengths_double_and_last_for_equal_numbers_of_tokens():
    growth = LengthWarmup(first_length=64, warmup_tokens=900)
    assert growth.lengths(512) == [64, 128, 256]
    assert growth.lengths(500) == [64, 128, 256]
    assert growth.lengths(64) == []
    seen = [growth.length_at(tokens, 512) for tokens in range(1000)]
    assert [seen.count(length) for length in (64, 128, 256, 512)] == [300, 300, 300, 100]
    assert seen == sorted(seen)
    lengths, shares = zip(*growth.shares(512, 1000), strict=True)
    assert lengths == (64, 128, 256, 512)
    assert shares == pytest.approx((0.3, 0.3, 0.3, 0.1))


def test_without_a_warm_up_all_lengths_are_the_full_one():
    assert {LengthWarmup().length_at(tokens, 512) for tokens in range(9)} == {512}
    assert LengthWarmup().shares(512, 1000) == [(512, 1.0)]


@pytest.mark.parametrize("given", [(2, 100), (64, 0), (0, 100), (-1, 100), (64, -1)])
def test_a_length_warm_up_needs_a_length_and_tokens(given):
    first, tokens = given
    with pytest.raises(ConfigError, match=r"of a length warm-up are .*: give a length of at least"):
        LengthWarmup(first_length=first, warmup_tokens=tokens)
