"""Our metrics against scikit-learn's and scipy's, on random predictions."""

import numpy as np
import pytest

from modernbert.tasks import metrics

pytestmark = pytest.mark.filterwarnings("ignore")
theirs = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")
SEEDS = range(5)


def labels(seed, count=200, num_labels=3):
    rng = np.random.default_rng(seed)
    right = rng.integers(0, num_labels, count)
    found = np.where(rng.random(count) < 0.4, right, rng.integers(0, num_labels, count))
    return found, right


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("num_labels", [2, 3, 7])
def test_one_label(seed, num_labels):
    found, right = labels(seed, num_labels=num_labels)
    assert metrics.accuracy(found, right) == theirs.accuracy_score(right, found)
    assert metrics.matthews(found, right, num_labels) == pytest.approx(
        theirs.matthews_corrcoef(right, found)
    )
    each = theirs.f1_score(right, found, average=None)
    assert [metrics.f1(found, right, n) for n in range(num_labels)] == pytest.approx(each)
    macro = theirs.f1_score(right, found, average="macro")
    assert metrics.macro_f1(found, right, num_labels + 2) == pytest.approx(macro)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_labels(seed):
    rng = np.random.default_rng(seed)
    right, found = (rng.integers(0, 2, (50, 4)) for _ in range(2))
    found[:20] = right[:20]
    assert metrics.accuracy(found, right) == theirs.accuracy_score(right, found)
    micro = theirs.f1_score(right, found, average="micro")
    assert metrics.micro_f1(found, right) == pytest.approx(micro)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("has_ties", [False, True])
def test_values(seed, has_ties):
    rng = np.random.default_rng(seed)
    right = rng.normal(size=80)
    found = right + rng.normal(size=80)
    if has_ties:
        right, found = right.round(), found.round()
    assert metrics.pearson(found, right) == pytest.approx(stats.pearsonr(found, right)[0])
    assert metrics.spearman(found, right) == pytest.approx(stats.spearmanr(found, right)[0])


def test_constant_predictions_are_no_error():
    same, right = np.zeros(9, dtype=np.int64), np.arange(9) % 2
    assert metrics.matthews(same, right, 2) == theirs.matthews_corrcoef(right, same) == 0
    assert metrics.f1(same, right) == 0
    assert metrics.pearson(np.ones(9), np.arange(9.0)) == 0
