"""Randomness by address: the same (seed, purpose, index) gives the same numbers, in any order.

Nothing here has state, so nothing has to be saved: a run resumes from an index.
The mixing function is SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014).
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53

Uint64s = NDArray[np.uint64]


def key(seed: int, *address: str | int) -> int:
    """Return the 64-bit key of an address; different addresses give unrelated keys."""
    spelled = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in address)])
    return int.from_bytes(hashlib.blake2b(spelled.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *address: str | int) -> np.random.Generator:
    """Return numpy's generator for an address, for the few places that draw a stream."""
    return np.random.Generator(np.random.Philox(key=key(seed, *address)))


def mix(x: Uint64s) -> Uint64s:
    """Scramble each 64-bit word into an unrelated one; a bijection."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * _MIX_1
        x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def words(stream: int | Uint64s, index: Uint64s) -> Uint64s:
    """Return the random word at each index of a stream; both may be arrays and broadcast."""
    with np.errstate(over="ignore"):
        return mix(np.asarray(stream, dtype=np.uint64) + (index + np.uint64(1)) * _GOLDEN)


def uniform(stream: int | Uint64s, index: Uint64s) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each index of a stream."""
    return (words(stream, index) >> np.uint64(11)).astype(np.float64) * _TO_UNIT
