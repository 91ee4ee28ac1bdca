import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modernbert.tasks.calibration import LEAST, MOST, Answers, honesty, nll, temperature_of

# Steps of 1/8 up to 100: what is less apart than rounding keeps no order.
SCORES = st.integers(-800, 800).map(lambda whole: whole / 8)


@st.composite
def answers(draw):
    shape = draw(st.tuples(st.integers(1, 30), st.integers(2, 6)))
    scores = draw(arrays.arrays(np.float64, shape, elements=SCORES))
    right = draw(arrays.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    return Answers(scores, right)


@given(answers())
def test_a_temperature_is_positive_never_worse_than_none_and_moves_no_answer(given):
    found = temperature_of(given)
    assert LEAST <= found <= MOST
    assert nll(given, found) <= nll(given)
    divided = given.scores / found
    assert (divided.argmax(1) == given.scores.argmax(1)).all()


@given(answers(), st.floats(0.1, 10))
def test_no_other_temperature_is_better_where_some_answer_is_wrong(given, other):
    is_right = np.take_along_axis(given.scores, given.right[:, None], 1)[:, 0]
    if (is_right < given.scores.max(1)).any():
        assert nll(given, temperature_of(given)) <= nll(given, other) * (1 + 1e-9)


@given(answers())
def test_bins_hold_every_answer_once_and_the_error_is_a_share(given):
    found = honesty(given)
    assert sum(each.count for each in found.bins) == len(given.right)
    slack = 1e-12  # a third is an edge, and three equal shares come to it or beside it
    assert all(each.low - slack < each.confidence <= each.high + slack for each in found.bins)
    assert all(0 <= each.low < each.high <= 1 for each in found.bins)
    assert 0 <= found.calibration_error <= 1
