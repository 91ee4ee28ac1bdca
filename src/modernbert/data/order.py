"""A place in an epoch in, the item that stands there out: an exact shuffle that stores nothing."""

import numpy as np
from numpy.typing import NDArray

from modernbert.base import rng

_ROUNDS = 8


def permuted(index: NDArray[np.int64] | int, size: int, key: int) -> NDArray[np.int64]:
    """Return where each index of range(size) goes in the shuffle that `key` names.

    A Feistel network permutes the next power of four; an index that lands outside the range is
    sent through again until it is inside (cycle walking; Black and Rogaway, CT-RSA 2002).
    """
    assert size > 0
    places = np.atleast_1d(np.asarray(index, dtype=np.uint64))
    half = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
    keys = rng.words(key, np.arange(_ROUNDS, dtype=np.uint64))
    out = _feistel(places, half, keys)
    outside = np.flatnonzero(out >= size)
    while outside.size:
        out[outside] = _feistel(out[outside], half, keys)
        outside = outside[out[outside] >= size]
    return out.astype(np.int64).reshape(np.shape(index))


def _feistel(x: rng.Uint64s, half: np.uint64, keys: rng.Uint64s) -> rng.Uint64s:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = x >> half, x & low
    for key in keys:
        left, right = right, left ^ (rng.words(int(key), right) & low)
    return (left << half) | right
