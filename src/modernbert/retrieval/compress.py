"""Vectors in, the same in less room out: eight bits a number, or one vector for several tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_STEPS = 127
_WINDOW = 512
"""Tokens that are pooled with each other: time grows with the third power."""


def to_bytes(vectors: Vectors) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return vectors [V K] in whole numbers of 8 bits, and what each is to be multiplied by."""
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scales = (np.where(largest > 0, largest, 1.0) / _STEPS).astype(np.float32)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def pooled(vectors: Vectors, factor: int) -> Vectors:
    """Make one vector of about so many token vectors that point the same way (arXiv 2409.14683).

    Groups are joined by the cosine of their means, the nearest two first, until a document has
    one group for `factor` tokens; a group's vector is the mean of its members. The first token
    stays alone: in most models it stands for the whole text.
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
    sums, sizes = vectors.astype(np.float32), np.ones(len(vectors), dtype=np.int64)
    units = _units(sums)
    likeness = units @ units.T
    np.fill_diagonal(likeness, -np.inf)
    for _ in range(len(vectors) - -(-len(vectors) // factor)):
        one, other = divmod(int(likeness.argmax()), len(vectors))
        one, other = min(one, other), max(one, other)
        sums[one] += sums[other]
        sizes[one] += sizes[other]
        sizes[other] = 0
        units[one] = _units(sums[one : one + 1])[0]
        new = units @ units[one]
        new[(sizes == 0) | (np.arange(len(vectors)) == one)] = -np.inf
        likeness[one], likeness[:, one] = new, new
        likeness[other], likeness[:, other] = -np.inf, -np.inf
    left = sizes > 0
    return np.asarray(sums[left] / sizes[left, None], dtype=np.float32)


def _units(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
