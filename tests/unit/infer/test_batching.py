import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.base.errors import ConfigError
from modernbert.infer.batching import plan


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 80))
def test_every_document_is_in_one_batch_that_fits(lengths, budget):
    batches = plan(lengths, budget)
    numbers = [number for batch in batches for number in batch]
    assert sorted(numbers) == list(range(len(lengths)))
    assert [lengths[number] for number in numbers] == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[number] for number in batch) <= budget


def test_batches_are_as_full_as_their_order_allows():
    assert plan([3, 9, 5, 3, 1], 10) == [[1], [2, 0], [3, 4]]
    assert plan([2, 2, 2], 4) == [[0, 1], [2]]
    assert plan([], 4) == []


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="batch_tokens is 0: give at least 1"):
        plan([1], 0)
