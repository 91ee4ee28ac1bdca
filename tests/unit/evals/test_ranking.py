import numpy as np
import pytest
from scipy import stats

from modernbert.evals.interval import estimate, quantile
from modernbert.evals.ranking import Outcome, ranked
from modernbert.train.summary import Summary
from modernbert.train.tune_config import TuneConfig
from modernbert.train.variants import axes_of, variants_of


def summary(value):
    return Summary(
        decisive="accuracy",
        step=3,
        epoch=1.0,
        dev={"accuracy": value, "f1": 1 - value},
        test={},
        steps=4,
        tokens=100,
        seconds=2.0,
        peak_bytes=5,
        dev_examples=10,
        test_examples=0,
    )


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 101])
def test_quantiles_are_scipy_s(freedom):
    assert quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)
    assert quantile(freedom, 0.5) == pytest.approx(stats.t.ppf(0.75, freedom), rel=1e-9)


def test_an_interval_is_scipy_s_and_one_value_has_none():
    values = np.random.default_rng(0).random(5).tolist()
    found = estimate(values)
    low, _ = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.mean - found.half_width == pytest.approx(low)
    assert estimate([0.5]).half_width is None
    assert estimate([0.5]).spelled(100, 1) == "50.0"
    assert estimate([0.4, 0.4]).spelled() == "0.4000 ± 0.0000"


def test_seeds_are_one_group_and_the_best_mean_comes_first():
    variants = variants_of(TuneConfig(), axes_of(["epochs=1,2,3,4", "seed=1,2"]))
    values = [0.5, 0.9, 0.8, 0.7, None, 0.99, None, None]
    outcomes = [
        Outcome(variant, None if value is None else summary(value), "" if value else "broke")
        for variant, value in zip(variants, values, strict=True)
    ]
    groups = ranked(outcomes)
    assert [group.settings[0].value for group in groups] == [2, 1, 3, 4]
    assert groups[0].decisive.mean == pytest.approx(0.75)
    assert groups[0].best.variant.config.seed == 1
    assert [group.is_whole for group in groups] == [True, True, False, False]
    assert groups[3].decisive is None
    assert groups[3].best is None
