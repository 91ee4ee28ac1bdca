import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.base.errors import ConfigError
from modernbert.optim.schedule import BatchWarmup, Schedule


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


def test_batch_sizes_of_the_base_recipe():
    # Table 3: 768 to 4608 sequences of 1024 over 50B tokens, in bins of 96 on each of 8 GPUs.
    row, full = 96 * 8 * 1024, 4608 * 1024
    warmup = BatchWarmup(first_tokens=768 * 1024, warmup_tokens=50_000_000_000)
    sizes, tokens, steps = [], 0, {}
    while tokens < 51_000_000_000:
        rows = warmup.rows_at(tokens, row, full)
        sizes.append(rows)
        steps[rows] = steps.get(rows, 0) + 1
        tokens += rows * row
    assert sizes == sorted(sizes)
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    assert all(steps[rows] == pytest.approx(4239, abs=2) for rows in range(1, 6))


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40))
def test_rows_stay_between_first_and_full(tokens, first, full):
    warmup = BatchWarmup(first_tokens=first * 10, warmup_tokens=10**5)
    rows = warmup.rows_at(tokens, 10, full * 10)
    assert min(first, full) <= rows <= full
    assert rows == full or tokens < 10**5
