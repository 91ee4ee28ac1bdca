"""Packing: which chunks share a micro-batch. Lengths in, rows of indices out; no token moves."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.base.errors import DataError

SHARE_TOKENS = 256
"""Fewer than these in a share, and reading all weights once more costs what it gains."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Rows of indices, and what found no room."""

    rows: tuple[tuple[int, ...], ...]
    left: tuple[int, ...]
    """Indices that no row could hold, in the order given."""


def best_fit(
    lengths: Sequence[int], capacity: int, num_rows: int | None = None, *, first: int = 0
) -> Packing:
    """Put each length, in tokens, in the fullest row that can still hold it.

    The `first` lengths go before all others, in the order given; the rest go longest first. Ties
    go to the earlier row, so the same lengths always give the same rows. Without `num_rows` rows
    are opened as needed and nothing is left over.

    Raises:
        DataError: a length is larger than the capacity.
    """
    rows: list[list[int]] = [[] for _ in range(num_rows or 0)]
    # (space left, row), sorted: the tightest gap that is large enough comes first.
    gaps = [(capacity, row) for row in range(len(rows))]
    left: list[int] = []
    rest = sorted(range(first, len(lengths)), key=lambda index: -lengths[index])
    for index in [*range(first), *rest]:
        need = lengths[index]
        if need > capacity:
            raise DataError(f"chunk {index} has {need} tokens, a row holds {capacity}: split it")
        tightest = bisect_left(gaps, (need, -1))
        if tightest < len(gaps):
            space, row = gaps.pop(tightest)
        elif num_rows is None:
            space, row = capacity, len(rows)
            rows.append([])
        else:
            left.append(index)
            continue
        rows[row].append(index)
        insort(gaps, (space - need, row))
    return Packing(tuple(map(tuple, rows)), tuple(sorted(left)))


def even_shares(costs: Sequence[float], number: int) -> list[list[int]]:
    """Deal documents out so that the costs of the shares are about equal, the dearest first."""
    shares: list[list[int]] = [[] for _ in range(number)]
    totals = [0.0] * number
    for each in sorted(range(len(costs)), key=lambda each: -costs[each]):
        least = min(range(number), key=totals.__getitem__)
        shares[least].append(each)
        totals[least] += costs[each]
    return shares
