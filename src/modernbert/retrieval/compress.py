"""Vectors in, the same in less room out: one vector for several tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_WINDOW = 512
"""Tokens that are pooled with each other: time grows with the third power."""
_TINY = 1e-12


def pooled(vectors: Vectors, factor: int) -> Vectors:
    """Make one vector of about `factor` token vectors that point the same way (arXiv 2409.14683).

    Groups are joined by Ward's rule on cosine distances, as sentence-transformers' hierarchical
    pooling has it. A group's vector is the mean of its members, as long as these are on average.
    The first token stays alone: in most models it stands for the whole text.
    """
    rest = [
        _grouped(vectors[start : start + _WINDOW], factor)
        for start in range(1, len(vectors), _WINDOW)
    ]
    return np.concatenate([vectors[:1], *rest])


def pooled_all(documents: Sequence[Vectors], factor: int) -> list[Vectors]:
    """Pool the tokens of each document; a factor of 1 changes nothing."""
    return [pooled(each, factor) if factor > 1 else each for each in documents]


def _grouped(vectors: Vectors, factor: int) -> Vectors:
    members = _groups(vectors, max(len(vectors) // factor, 1))
    sizes = members.sum(axis=1, keepdims=True)
    means = (members @ vectors) / sizes
    lengths = np.linalg.norm(vectors, axis=1)
    long = (members @ lengths[:, None]) / sizes
    short = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means * (long / np.maximum(short, _TINY)), dtype=np.float32)


def _groups(vectors: Vectors, number: int) -> Vectors:
    """Return so many groups as rows, 1 where a vector belongs to one: the nearest join first."""
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
    far = np.clip(1 - units @ units.T, 0, 2) ** 2
    np.fill_diagonal(far, np.inf)
    members = np.eye(len(vectors), dtype=np.float32)
    sizes = np.ones(len(vectors), dtype=np.float32)
    for _ in range(len(vectors) - number):
        one, other = sorted(divmod(int(far.argmin()), len(vectors)))
        joined = far[one, other]
        new = (sizes[one] + sizes) * far[one] + (sizes[other] + sizes) * far[other]
        new = (new - sizes * joined) / (sizes[one] + sizes[other] + sizes)
        new[[one, other]] = np.inf
        far[one], far[:, one] = new, new
        far[other], far[:, other] = np.inf, np.inf
        members[one] += members[other]
        sizes[one] += sizes[other]
        sizes[other] = 0
    return members[sizes > 0]
