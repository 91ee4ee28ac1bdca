"""Weights in, a source for every position out: shares that hold from the first positions on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import ConfigError

_SHORTEST, _LONGEST = 4096, 1 << 20
_FEWEST_PLACES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A cycle of places, each owned by a source, that repeats for ever."""

    owners: NDArray[np.int64]
    """Which source owns each place of the cycle."""
    ranks: NDArray[np.int64]
    """How many earlier places of the cycle have the same owner."""
    counts: NDArray[np.int64]
    """Places of each source in a cycle."""

    def at(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return each position's source and how many earlier positions went to that source."""
        cycle, place = np.divmod(positions, len(self.owners))
        owners = self.owners[place]
        return owners, cycle * self.counts[owners] + self.ranks[place]


def interleave(shares: NDArray[np.float64]) -> Mixture:
    """Spread sources evenly over a cycle, each with its share of the places; shares sum to 1."""
    smallest = shares[shares > 0].min()
    length = int(np.clip(_FEWEST_PLACES / smallest, _SHORTEST, _LONGEST)) if len(shares) > 1 else 1
    exact = shares * length
    counts = np.floor(exact).astype(np.int64)
    short = length - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    owners = np.repeat(np.arange(len(shares)), counts)
    ranks = np.arange(length) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.argsort((ranks + 0.5) / counts[owners], kind="stable")
    return Mixture(owners[order], ranks[order], counts)


def tempered(
    tokens: Mapping[str, int], temperature: float, boosts: Mapping[str, float]
) -> dict[str, float]:
    """Return weights by tokens ** temperature, those of some sources boosted; they sum to 1.

    Raises:
        ConfigError: the temperature or a boost is negative or not finite, or a source is unknown.
    """
    for name in boosts:
        if name not in tokens:
            raise ConfigError(
                f"the mixture boosts {name!r}, which is not in the corpus: "
                f"it holds {', '.join(tokens)}"
            )
    numbers = (temperature, *boosts.values())
    if not all(0 <= number < float("inf") for number in numbers):
        raise ConfigError(
            f"source_temperature {temperature:g} and source_boosts "
            f"{', '.join(f'{each:g}' for each in boosts.values()) or 'none'}: give finite numbers "
            "of at least 0"
        )
    raised = {
        name: float(count) ** temperature * boosts.get(name, 1.0)
        for name, count in tokens.items()
        if count
    }
    total = sum(raised.values())
    return {name: weight / total if total else 0.0 for name, weight in raised.items()}


def length_weights(
    weights: Mapping[str, float], tokens: Mapping[str, tuple[int, int]], boost: float
) -> dict[str, float]:
    """Split each source's weight between its short and its long documents, whose tokens are given.

    A long document then comes `boost` times as often as a short one of its source.
    """
    parts: dict[str, float] = {}
    for name, (short, long) in tokens.items():
        weight = weights.get(name, 0.0) / (short + boost * long)
        parts[name] = weight * short
        parts[long_of(name)] = weight * boost * long
    return parts


def long_of(source: str) -> str:
    """Return what the long documents of a source are called."""
    return f"{source}, long documents"


def chunk_shares(
    weights: Mapping[str, float], sources: Sequence[str], mean_tokens: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn weights by tokens into shares of chunks, given the mean tokens of a source's chunks.

    Raises:
        ConfigError: a weight is negative or not finite, all are zero, or a source is unknown.
    """
    for name, weight in weights.items():
        if name not in sources:
            raise ConfigError(
                f"the mixture weighs {name!r}, which is not in the corpus: "
                f"it holds {', '.join(sources)}"
            )
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"the weight of {name!r} is {weight}: give a number of at least 0")
    given = np.array([float(weights.get(name, 0.0)) for name in sources])
    if not given.any():
        raise ConfigError("all weights of the mixture are zero: give at least one source weight")
    shares = given / given.sum() / mean_tokens
    shares /= shares.sum()
    rare = np.flatnonzero((shares > 0) & (shares < 2.0 / _LONGEST))
    if rare.size:
        raise ConfigError(
            f"the weight of {sources[rare[0]]!r} is less than a millionth of the mixture: "
            "give 0 to leave the source out"
        )
    return np.asarray(shares, dtype=np.float64)
