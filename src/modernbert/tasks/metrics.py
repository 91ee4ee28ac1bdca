"""What was predicted and what is right in, numbers that say how well out; of all rows at once.

Small formulas, so that fine-tuning needs no package for them; they are scikit-learn's and scipy's.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Values = NDArray[np.float64]


def accuracy(found: Numbers, right: Numbers) -> float:
    """Return the share of rows that are right; of several labels, all of a row must be."""
    same = found == right
    return float(same.all(axis=-1).mean() if same.ndim > 1 else same.mean())


def f1(found: Numbers, right: Numbers, label: int = 1) -> float:
    """Return the harmonic mean of precision and recall of one label, 0 where it never comes."""
    hits = int(((found == label) & (right == label)).sum())
    said = int((found == label).sum()) + int((right == label).sum())
    return 2 * hits / said if said else 0.0


def macro_f1(found: Numbers, right: Numbers, num_labels: int) -> float:
    """Return the mean F1 of all labels that come in either."""
    present = [n for n in range(num_labels) if (found == n).any() or (right == n).any()]
    return float(np.mean([f1(found, right, n) for n in present]))


def micro_f1(found: Numbers, right: Numbers) -> float:
    """Return F1 over all marks of several labels, [rows labels] of 0 and 1."""
    return f1(found.ravel(), right.ravel())


def matthews(found: Numbers, right: Numbers, num_labels: int) -> float:
    """Return Matthews' correlation of any number of labels, 0 if one is constant (Gorodkin)."""
    counts = np.zeros((num_labels, num_labels))
    np.add.at(counts, (right, found), 1)
    truth, said, total = counts.sum(1), counts.sum(0), counts.sum()
    covariance = np.trace(counts) * total - truth @ said
    spread = (total**2 - said @ said) * (total**2 - truth @ truth)
    return float(covariance / np.sqrt(spread)) if spread else 0.0


def pearson(found: Values, right: Values) -> float:
    """Return the linear correlation; 0 if one is constant."""
    one, other = found - found.mean(), right - right.mean()
    spread = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / spread) if spread else 0.0


def spearman(found: Values, right: Values) -> float:
    """Return the correlation of ranks; equal values share their mean rank."""
    return pearson(_ranks(found), _ranks(right))


def _ranks(x: Values) -> Values:
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(means[place], dtype=np.float64)
