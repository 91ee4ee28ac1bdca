"""Rows in, rows with some tokens hidden out, and which tokens these were."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modernbert.base import rng
from modernbert.base.errors import ConfigError
from modernbert.data.stream import Rows

# Each token draws three numbers: is it hidden, as what, and which random token would it be.
_HIDDEN, _KIND, _OTHER, _DRAWS = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskingRule:
    """Which tokens are hidden, and behind what (BERT, arXiv 1810.04805, section 3.1)."""

    rate: float = 0.3
    """Share of the tokens that are hidden."""
    mask_share: float = 0.8
    """Share of the hidden tokens that become [MASK]."""
    random_share: float = 0.1
    """Share of the hidden tokens that become a random token; the rest stay as they are."""
    mask_id: int
    special_ids: frozenset[int]
    """Ids that are never hidden."""
    ordinary_ids: NDArray[np.int64]
    """Ids that random tokens are drawn from."""

    def __post_init__(self) -> None:
        for name in ("rate", "mask_share", "random_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"masking: {name} is {value}: give a share between 0 and 1")
        if self.mask_share + self.random_share > 1:
            raise ConfigError(
                f"masking: mask_share {self.mask_share} and random_share {self.random_share} "
                "sum to more than 1: lower one of them"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """What a model reads, and what it is to find."""

    ids: NDArray[np.int64]
    """All tokens of the rows, some of them replaced."""
    positions: NDArray[np.int64]
    """Where the hidden tokens stand in `ids`, ascending."""
    targets: NDArray[np.int64]
    """What stood there."""


def hide(rows: Rows, *, rule: MaskingRule, key: int) -> Hidden:
    """Hide tokens, each decided by (key, its chunk's sample address, its offset in the chunk).

    So a chunk is masked alike in whatever row, order or process it turns up.
    """
    lengths = np.array(rows.lengths, dtype=np.int64)
    streams = rng.words(key, rows.samples.astype(np.uint64))
    starts = np.cumsum(lengths) - lengths
    offsets = np.arange(len(rows.ids)) - np.repeat(starts, lengths)
    draws = offsets.astype(np.uint64) * np.uint64(_DRAWS)
    per_token = np.repeat(streams, lengths)

    chosen = rng.uniform(per_token, draws + np.uint64(_HIDDEN)) < rule.rate
    chosen &= ~np.isin(rows.ids, sorted(rule.special_ids))
    positions = np.flatnonzero(chosen)
    per_token, draws = per_token[positions], draws[positions]

    targets = rows.ids[positions]
    kind = rng.uniform(per_token, draws + np.uint64(_KIND))
    others = rng.words(per_token, draws + np.uint64(_OTHER)) % np.uint64(len(rule.ordinary_ids))
    shown = np.where(kind < rule.mask_share, rule.mask_id, targets)
    is_random = (kind >= rule.mask_share) & (kind < rule.mask_share + rule.random_share)
    shown[is_random] = rule.ordinary_ids[others[is_random].astype(np.int64)]
    ids = rows.ids.copy()
    ids[positions] = shown
    return Hidden(ids, positions, targets)
