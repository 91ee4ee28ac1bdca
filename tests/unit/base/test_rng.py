import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.base.rng import generator, key, mix, uniform, words

MANY = 100_000
INDEX = np.arange(MANY, dtype=np.uint64)
UINT64S = st.integers(0, 2**64 - 1)


def split_mix(stream: int, index: int) -> int:
    """SplitMix64 in whole numbers, as its paper has it."""
    x = (stream + (index + 1) * 0x9E3779B97F4A7C15) % 2**64
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) % 2**64
    return x ^ x >> 31


def test_an_address_names_its_key_for_ever():
    assert key(17, "order", 3) == 8548128893010656135


@given(stream=UINT64S, index=UINT64S)
def test_words_are_those_of_split_mix(stream, index):
    assert words(stream, np.array([index], dtype=np.uint64))[0] == split_mix(stream, index)


def test_the_same_address_gives_the_same_numbers():
    first, second = generator(1, "a", 2), generator(1, "a", 2)
    np.testing.assert_array_equal(first.random(10), second.random(10))


@pytest.mark.parametrize(
    "other", [(2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a", "2"), (1, "a"), (1, "a", 2, 0)]
)
def test_other_addresses_are_unrelated(other):
    assert key(*other) != key(1, "a", 2)
    ours, theirs = (uniform(key(*address), INDEX) for address in ((1, "a", 2), other))
    # The correlation of independent samples is normal with this deviation.
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 5 / MANY**0.5


def test_neighbouring_streams_are_unrelated():
    ours, theirs = uniform(5, INDEX), uniform(6, INDEX)
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 5 / MANY**0.5
    assert abs(np.corrcoef(ours[1:], ours[:-1])[0, 1]) < 5 / MANY**0.5


@given(stream=UINT64S, index=UINT64S)
def test_uniform_is_at_least_zero_and_below_one(stream, index):
    value = uniform(stream, np.array([index], dtype=np.uint64))
    assert 0.0 <= value[0] < 1.0


def test_the_largest_word_stays_below_one():
    assert float(np.uint64(2**64 - 1) >> np.uint64(11)) * 2.0**-53 < 1.0


def test_uniform_fills_its_range_evenly():
    values = uniform(key(0, "test"), INDEX)
    assert abs(values.mean() - 0.5) < 5 * (1 / 12 / MANY) ** 0.5
    counts = np.bincount((values * 64).astype(int), minlength=64)
    expected = MANY / 64
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 63 degrees of freedom: mean 63, deviation sqrt(126).
    assert abs(chi_square - 63) < 5 * 126**0.5


def test_each_bit_is_set_half_of_the_time():
    drawn = words(key(0, "bits"), INDEX)
    for bit in range(64):
        share = ((drawn >> np.uint64(bit)) & np.uint64(1)).mean()
        assert abs(share - 0.5) < 6 * 0.5 / MANY**0.5


@given(a=UINT64S, b=UINT64S)
def test_mix_is_a_bijection(a, b):
    mixed = mix(np.array([a, b], dtype=np.uint64))
    assert (mixed[0] == mixed[1]) == (a == b)


def test_streams_and_indices_broadcast():
    streams = np.array([[3], [4]], dtype=np.uint64)
    grid = words(streams, INDEX[:5])
    np.testing.assert_array_equal(grid[1], words(4, INDEX[:5]))
