import numpy as np
import pytest

from modernbert.base.errors import ConfigError
from modernbert.data.mixture import chunk_shares, interleave

NAMES = ("books", "code", "web")
EQUAL = np.full(3, 100.0)


def test_shares_hold_from_early_on():
    shares = np.array([0.7, 0.25, 0.05])
    owners, _ = interleave(shares).at(np.arange(100_000))
    for stop in (1000, 10_000, 100_000):
        realised = np.bincount(owners[:stop], minlength=3) / stop
        np.testing.assert_allclose(realised, shares, rtol=0.01, atol=1 / 1000)


def test_ranks_count_the_earlier_positions_of_the_same_source():
    owners, ranks = interleave(np.array([0.6, 0.3, 0.1])).at(np.arange(30_000))
    for source in range(3):
        np.testing.assert_array_equal(ranks[owners == source], np.arange((owners == source).sum()))


def test_a_position_needs_no_other():
    mixture = interleave(np.array([0.6, 0.4]))
    owners, ranks = mixture.at(np.arange(50_000))
    owner, rank = mixture.at(np.array([40_321]))
    assert (owner[0], rank[0]) == (owners[40_321], ranks[40_321])


def test_rare_sources_keep_their_share():
    shares = np.array([1 - 1e-4, 1e-4])
    counts = interleave(shares).counts
    assert abs(counts[1] / counts.sum() / 1e-4 - 1) < 0.01


def test_weights_are_by_tokens():
    shares = chunk_shares({"books": 1, "code": 1}, NAMES, np.array([900.0, 100.0, 500.0]))
    np.testing.assert_allclose(shares, [0.1, 0.9, 0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"book": 1.0}, "weighs 'book', which is not in the corpus: it holds books, code, web"),
        ({"books": -1.0}, "weight of 'books' is -1.0"),
        ({"books": float("nan")}, "weight of 'books' is nan"),
        ({"books": 0.0}, "all weights of the mixture are zero"),
        ({}, "all weights of the mixture are zero"),
        ({"books": 1.0, "web": 1e-8}, "weight of 'web' is less than a millionth"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, message):
    with pytest.raises(ConfigError, match=message):
        chunk_shares(weights, NAMES, EQUAL)
