"""Vectors in, the same in a quarter of the room out: whole numbers of 8 bits and a scale each."""

import numpy as np
from numpy.typing import NDArray

_STEPS = 127


def to_bytes(
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return vectors [V K] in whole numbers of 8 bits, and what each is to be multiplied by.

    What is not finite gets a scale that is not.
    """
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scales = (np.where(largest == 0, 1.0, largest) / _STEPS).astype(np.float32)
    with np.errstate(invalid="ignore"):
        return np.rint(vectors / scales[:, None]).astype(np.int8), scales
