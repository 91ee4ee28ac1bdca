import numpy as np
import pytest

from modernbert.data.judged import JudgedSet
from modernbert.evals.among import drawn, fused_scores, reciprocal_ranks

DOCUMENTS = {f"d{number}": "" for number in range(40)}
JUDGED = {"q0": {"d3": 1, "d5": 2, "d7": 0}, "q1": {"d9": 1}, "q2": {"gone": 1}, "q3": {"d1": 0}}


def judged_set(documents=DOCUMENTS, judged=JUDGED):
    return JudgedSet("set", documents, dict.fromkeys(judged, ""), judged, ())


def test_a_right_document_stands_in_front_of_others_that_are_not():
    numbers = drawn(judged_set(), 20)
    assert numbers.shape == (4, 21)
    assert numbers[:, 0].tolist() == [5, 9, -1, -1], "the best judged one"
    for row in numbers:
        assert len({*row.tolist()}) == 21, "each once"
    assert not {3, 5} & {*numbers[0, 1:].tolist()}, "the other right one is none of the others"
    assert not np.array_equal(np.sort(numbers[2]), np.sort(numbers[3]))


def test_others_do_not_depend_on_the_other_queries():
    alone = judged_set(judged={"q1": JUDGED["q1"]})
    assert drawn(alone, 20)[0].tolist() == drawn(judged_set(), 20)[1].tolist()


@pytest.mark.parametrize(("size", "columns"), [(4, 4), (1, 1), (40, 31)])
def test_a_small_corpus_gives_as_many_as_it_has(size, columns):
    documents = {f"d{number}": "" for number in range(size)}
    numbers = drawn(judged_set(documents, {"q": {"d0": 1}}), 30)
    assert numbers.shape == (1, columns)
    assert numbers[0, 0] == 0


def test_equal_scores_rank_before_the_right_document():
    scores = np.float32([[2, 1, 3], [1, 1, 1], [5, 1, -np.inf], [-np.inf, -np.inf, 1]])
    numbers = np.array([[0, 1, 2], [0, 1, 2], [-1, 1, 2], [0, 1, 2]])
    assert reciprocal_ranks(scores, numbers).tolist() == [1 / 2, 1 / 3, 0.0, 0.0]


def test_what_was_not_found_is_last_in_fusion():
    one = np.array([[0.9, 0.5, 0.1]], dtype=np.float32)
    other = np.array([[-np.inf, 2.0, 3.0]], dtype=np.float32)
    step = 1.5**0.5
    truth = [[step - 1, 0 - 1, -step + 1]]
    np.testing.assert_allclose(fused_scores([one, other]), truth, rtol=1e-5, atol=1e-6)
    nothing = np.full((1, 3), -np.inf, dtype=np.float32)
    np.testing.assert_allclose(fused_scores([one, nothing]), [[step, 0, -step]], atol=1e-6)
