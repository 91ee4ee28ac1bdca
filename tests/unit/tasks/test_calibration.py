import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from modernbert.tasks.calibration import (
    LEAST,
    MOST,
    NUM_BINS,
    Answers,
    bins,
    honesty,
    nll,
    temperature_of,
)


def drawn(count=4000, choices=3, seed=0):
    """Answers whose probabilities are true: what is right was drawn by them."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.standard_normal((count, choices))
    right = (scores + rng.gumbel(size=scores.shape)).argmax(1)
    return Answers(scores, right)


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 3.0, 20.0])
def test_scores_that_are_too_large_or_too_small_are_found_out(factor):
    true = drawn()
    found = temperature_of(true.times(factor))
    assert found == pytest.approx(factor, rel=0.06)
    assert found == pytest.approx(factor * temperature_of(true), rel=1e-9)


def test_likelihood_and_temperature_are_scipy_s():
    answers = drawn(500).times(2.5)

    def of(temperature):
        picked = log_softmax(answers.scores / temperature, axis=1)
        return -np.take_along_axis(picked, answers.right[:, None], 1).mean()

    assert nll(answers, 1.7) == pytest.approx(of(1.7), rel=1e-12)
    best = minimize_scalar(of, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-9})
    assert temperature_of(answers) == pytest.approx(best.x, rel=1e-5)


def test_marks_are_answers_of_yes_or_no():
    scores, marks = np.array([[2.0, -1.0]]), np.array([[1, 1]])
    answers = Answers.of_marks(scores, marks)
    right = 1 / (1 + np.exp(-scores))
    assert nll(answers) == pytest.approx(-np.log(right).mean())
    assert answers.right.tolist() == [1, 1]


def test_the_error_is_the_mean_gap_of_the_bins():
    # Two answers of probability 0.9, one of them right; one of 0.6, right.
    scores = np.log(np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4]]))
    answers = Answers(scores, np.array([0, 0, 0]))
    low, high = bins(answers)
    assert (low.count, low.confidence, low.accuracy) == (1, pytest.approx(0.6), 1.0)
    assert (high.count, high.confidence, high.accuracy) == (2, pytest.approx(0.9), 0.5)
    assert low.low < 0.6 <= low.high == pytest.approx(low.low + 1 / NUM_BINS)
    assert honesty(answers).calibration_error == pytest.approx((0.4 + 2 * 0.4) / 3)


def test_calibrated_probabilities_are_closer_to_what_is_right():
    answers = drawn().times(3.0)
    before, after = honesty(answers), honesty(answers, temperature_of(answers))
    assert before.calibration_error > 0.1
    assert after.calibration_error < 0.02
    assert after.nll < before.nll


def test_nothing_is_said_by_answers_that_are_all_right_or_all_alike():
    assert temperature_of(Answers(np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))) == 1
    assert temperature_of(Answers(np.ones((4, 2)), np.array([0, 1, 1, 1]))) == 1


def test_the_search_ends_where_it_was_told_to():
    upside_down = Answers(np.array([[0.0, 1.0]] * 9 + [[1.0, 0.0]]), np.zeros(10, dtype=np.int64))
    assert temperature_of(upside_down) == pytest.approx(MOST)
    timid = Answers(upside_down.scores[:, ::-1] / 1000, upside_down.right)
    assert temperature_of(timid) == pytest.approx(LEAST)
