import numpy as np
import pytest

from modernbert.retrieval.hits import Best, Chosen, Hits, behind, fused, joined, standardised


@pytest.mark.parametrize("size", [1, 3, 50])
def test_the_best_of_all_pieces_are_the_best_of_the_whole(size):
    source = np.random.default_rng(0)
    scores = source.standard_normal((4, 50), dtype=np.float32)
    best, order = Best(4, 7), source.permutation(50)
    for start in range(0, 50, size):
        numbers = order[start : start + size]
        best.add(scores[:, numbers], numbers)
    for row, hits in zip(scores, best.hits(), strict=True):
        assert hits.numbers.tolist() == (-row).argsort()[:7].tolist()
        assert hits.scores.tolist() == (-np.sort(-row))[:7].tolist()


@pytest.mark.parametrize("size", [1, 3, 50])
def test_chosen_documents_get_their_scores_whatever_the_pieces(size):
    source = np.random.default_rng(0)
    scores = source.standard_normal((4, 50), dtype=np.float32)
    numbers = np.stack([source.permutation(50)[:9] for _ in range(4)])
    chosen, order = Chosen(numbers, 50), source.permutation(50)
    for start in range(0, 50, size):
        some = order[start : start + size]
        chosen.add(scores[:, some], some)
    assert np.array_equal(chosen.scores, np.take_along_axis(scores, numbers, axis=1))


def test_fewer_documents_than_asked_and_equal_scores_keep_their_order():
    best = Best(1, 100)
    best.add(np.float32([[1.0, 2.0]]), np.array([4, 3]))
    best.add(np.float32([[2.0]]), np.array([1]))
    (hits,) = best.hits()
    assert hits.numbers.tolist() == [1, 3, 4]


def test_of_equal_scores_the_first_are_kept_and_what_fits_nothing_is_left_out():
    best = Best(1, 3)
    best.add(np.float32([[1, 2, 1, 1, 1]]), np.arange(5))
    best.add(np.float32([[1, -np.inf]]), np.array([5, 6]))
    assert best.hits()[0].numbers.tolist() == [1, 0, 2]
    best = Best(1, 3)
    best.add(np.float32([[-np.inf, 0]]), np.arange(2))
    assert best.hits()[0].numbers.tolist() == [1]


def hits(*numbers):
    return Hits(np.array(numbers, dtype=np.int64), -np.arange(len(numbers), dtype=np.float32))


def test_standardised_scores_are_fused():
    (found,) = fused([hits(7, 5, 3)], [hits(5, 9)], 2)
    # 7, 5, 3 have 0, -1, -2: a mean of -1, a deviation of sqrt(2/3). 5 and 9 are 1 apart.
    assert found.numbers.tolist() == [5, 7]
    step = 1.5**0.5
    np.testing.assert_allclose(found.scores, [0 + 1, step - 1], rtol=1e-6)


def test_what_stands_out_counts_for_more_than_what_is_merely_first():
    even = hits(*range(20))
    outlier = Hits(even.numbers[::-1], np.array([9.0, *[1.0] * 19], dtype=np.float32))
    (found,) = fused([even], [outlier], 20)
    assert found.numbers.tolist()[:2] == [19, 0]


def test_equal_scores_say_nothing():
    equal = Hits(np.array([1, 2]), np.array([3.0, 3.0], dtype=np.float32))
    (found,) = fused([hits(2, 1)], [equal], 2)
    assert found.numbers.tolist() == [2, 1]


def test_a_search_that_found_nothing_changes_no_order():
    (found,) = fused([hits(2, 1)], [hits()], 5)
    assert found.numbers.tolist() == [2, 1]


def test_the_only_document_with_a_word_is_the_first():
    alone = Hits(np.array([86]), np.array([2.5], dtype=np.float32))
    (found,) = fused([hits(*range(100))], [alone], 100)
    assert found.numbers.tolist()[:2] == [86, 0]
    # It may be no neighbour at all.
    elsewhere = Hits(np.array([700]), np.array([2.5], dtype=np.float32))
    assert fused([hits(*range(100))], [elsewhere], 100)[0].numbers.tolist()[0] == 700


def test_two_models_are_joined_by_what_stands_out_in_each():
    numbers = np.array([4, 2, 9, 7])
    one = Hits(numbers, np.array([9, 8, 1, 0], dtype=np.float32))
    other = Hits(numbers[[1, 3, 0, 2]], np.array([0.5, 0.4, 0.1, 0.0], dtype=np.float32))
    (both,) = joined([one], [other])
    total = standardised(one.scores) + standardised(other.scores)[[2, 0, 3, 1]]
    assert both.numbers.tolist() == numbers[np.argsort(-total)].tolist() == [2, 4, 7, 9]
    np.testing.assert_allclose(both.scores, np.sort(total)[::-1], rtol=1e-6)
    nothing = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    assert not joined([nothing], [nothing])[0].numbers.size


def test_what_was_not_read_again_stays_behind_in_its_order():
    whole = Hits(np.array([4, 9, 1, 7]), np.float32([4.0, 3.0, 2.0, 1.0]))
    best = Hits(np.array([9, 4]), np.float32([0.5, -2.0]))
    found = behind(best, whole)
    assert found.numbers.tolist() == [9, 4, 1, 7]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert len({*found.scores.tolist()}) == 4
    nothing = Hits(np.array([], dtype=np.int64), np.float32([]))
    assert behind(nothing, whole).numbers.tolist() == [4, 9, 1, 7]
