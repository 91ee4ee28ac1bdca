"""How a CPU cuts a packed axis for attention: lengths in, stretches of it out, with masks."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout

_ROW = 64
"""Documents up to here share rows of this many slots; a block of queries in a band is as long."""
_STEP = 16
"""Reaches are multiples of this, for the sake of vector instructions."""
_ALONE = 4 / 3
"""Of the keys that a block of a band reads: up to there a document under a mask of its own takes
less time, in bfloat16 and further too (lab/LOG.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """Documents of one length in a row, read each as a whole."""

    start: int
    number: int
    length: int
    mask: Float[Tensor, "1 1 length length"] | None = None
    """0 where a query sees a key, else -inf; None where every token sees every other."""
    is_causal: bool = False
    """Whether a token sees only itself and those before it; then there is no mask."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Documents laid on slots so that no token sees further than `reach` slots.

    Block b holds the queries of slots [b * block, (b + 1) * block); its keys begin `reach`
    slots earlier and end `reach` later. A reach of 0 means that no document crosses a block.
    """

    source: Int[Tensor, "keys"]
    """The token on each slot, with `reach` more slots at both ends; padding repeats a token."""
    mask: Float[Tensor, "N 1 block reached"]
    """0 where a query sees a key, else -inf."""
    block: int
    reach: int
    first: int | None
    """The token on slot 0 where those that follow it lie on the slots that follow, else None."""
    num_tokens: int

    @property
    def num_blocks(self) -> int:
        """How many blocks the slots make."""
        return self.mask.shape[0]

    @property
    def inner(self) -> range:
        """The blocks whose queries and keys are tokens in a row: nothing has to be moved."""
        if self.first is None:
            return range(0)
        return range(-(-self.reach // self.block), (self.num_tokens - self.reach) // self.block)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Stretches that together cover all tokens."""

    stretches: tuple[Whole | Band, ...]
    place: Int[Tensor, "T"]
    """Where each token's row is when the slots of all stretches are laid end to end."""
    is_ordered: bool
    """Whether the tokens are the first slots, in order: then nothing has to be moved."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a query sees, and how masks say it."""

    reach: int
    """Tokens on each side."""
    is_causal: bool
    dtype: torch.dtype

    def mask(self, distance: Tensor, seen: Tensor | bool = True) -> Tensor:
        """Return 0 where a key at this distance from its query is seen, else -inf."""
        near = (distance <= 0 if self.is_causal else distance <= self.reach) & seen
        hidden = ~(near & (distance >= -self.reach))
        return torch.zeros(hidden.shape, dtype=self.dtype).masked_fill_(hidden, -torch.inf)


def plan_for(
    lengths: tuple[int, ...], window: int | None, dtype: torch.dtype, is_causal: bool = False
) -> Plan:
    """Cut the axis; all layers of a batch with this window share the plan and its masks."""
    return _remembered.plan_for(lengths, window, dtype, is_causal)


def lengths_of(layout: Layout) -> tuple[int, ...]:
    """Return the lengths of a batch's documents, listed once for all layers."""
    if _remembered.layout is not layout:
        _remembered.layout, _remembered.lengths = layout, layout.lengths()
    return _remembered.lengths


class _Remembered(threading.local):
    """A thread's last plans: batches that are encoded side by side do not displace each other's."""

    def __init__(self) -> None:
        self.plan_for = lru_cache(maxsize=4)(_cut)
        self.layout: Layout | None = None
        self.lengths: tuple[int, ...] = ()


def _cut(lengths: tuple[int, ...], window: int | None, dtype: torch.dtype, is_causal: bool) -> Plan:
    sight = _Sight(max(lengths) - 1 if window is None else window // 2, is_causal, dtype)
    # A document no longer than this is seen whole from each of its tokens.
    short_limit = min(_ROW, sight.reach + 1)
    starts = _starts(lengths)
    documents = range(len(lengths))
    short = [index for index in documents if lengths[index] <= short_limit]
    long = [index for index in documents if lengths[index] > short_limit]
    laid = []
    alike = _alike(short, lengths)
    if len(alike) == 1:
        # A grid already: nothing has to be moved.
        laid.append(_whole(starts, lengths, alike[0], is_causal))
    elif short:
        laid.append(_rows([(starts[i], lengths[i]) for i in short], sight))
    if window is None:
        laid += [_whole(starts, lengths, each, is_causal) for each in _alike(long, lengths)]
    else:
        laid += _local(long, starts, lengths, sight)
    # Tokens that are in order already need not be put there.
    laid.sort(key=lambda each: int(each[1][0]))
    place = torch.empty(sum(lengths), dtype=torch.int64)
    before = 0
    for _, tokens, slots, num_slots in laid:
        place[tokens] = slots + before
        before += num_slots
    is_ordered = torch.equal(place, torch.arange(len(place)))
    return Plan(tuple(stretch for stretch, *_ in laid), place, is_ordered)


_Laid = tuple[Whole | Band, Tensor, Tensor, int]
"""A stretch, its tokens, the slot of each, and the number of slots."""


def _alike(documents: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Return the documents in groups of neighbours of one length."""
    groups: list[list[int]] = []
    for index in documents:
        if groups and groups[-1][-1] == index - 1 and lengths[index] == lengths[index - 1]:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _whole(
    starts: Sequence[int],
    lengths: Sequence[int],
    documents: Sequence[int],
    seen: Tensor | bool,
) -> _Laid:
    """Lay documents as a grid; what is seen is a mask, or whether it ends with the query."""
    start, number, length = starts[documents[0]], len(documents), lengths[documents[0]]
    slots = torch.arange(number * length)
    if isinstance(seen, bool):
        grid = Whole(start, number, length, None, seen)
    else:
        grid = Whole(start, number, length, seen[..., :length, :length])
    return grid, start + slots, slots, len(slots)


def _local(
    documents: Sequence[int],
    starts: Sequence[int],
    lengths: Sequence[int],
    sight: _Sight,
) -> list[_Laid]:
    """Lay documents that are longer than their tokens see."""
    limit = int(_ALONE * (_block(sight.reach) + 2 * _reach(sight.reach)))
    middle = [index for index in documents if _ROW < lengths[index] <= limit]
    rest = [(starts[i], lengths[i]) for i in sorted({*documents} - {*middle})]
    longest = max((lengths[index] for index in middle), default=0)
    distance = torch.arange(longest) - torch.arange(longest)[:, None]
    mask = sight.mask(distance)[None, None]
    laid = [_whole(starts, lengths, each, mask) for each in _alike(middle, lengths)]
    return [*laid, _band(rest, sight)] if rest else laid


def _rows(documents: Sequence[tuple[int, int]], sight: _Sight) -> _Laid:
    """Lay short documents on rows, longest first, each in the fullest row that can hold it."""
    open_rows: list[list[int]] = [[] for _ in range(_ROW + 1)]
    at, num_rows = [], 0
    order = sorted(documents, key=lambda document: -document[1])
    for _, length in order:
        space = next((s for s in range(length, _ROW) if open_rows[s]), _ROW)
        row = open_rows[space].pop() if open_rows[space] else num_rows
        num_rows = max(num_rows, row + 1)
        at.append(row * _ROW + _ROW - space)
        open_rows[space - length].append(row)
    return _laid(order, at, (num_rows, _ROW, 0), replace(sight, reach=_ROW))


def _band(documents: Sequence[tuple[int, int]], sight: _Sight) -> _Laid:
    """Lay long documents end to end."""
    at = _starts([length for _, length in documents])
    block = _block(sight.reach)
    num_blocks = -(-sum(length for _, length in documents) // block)
    return _laid(documents, at, (num_blocks, block, _reach(sight.reach)), sight)


def _laid(
    documents: Sequence[tuple[int, int]],
    at: Sequence[int],
    sizes: tuple[int, int, int],
    sight: _Sight,
) -> _Laid:
    num_blocks, block, reach = sizes
    lengths = torch.tensor([length for _, length in documents])
    within = torch.cat([torch.arange(length) for _, length in documents])
    tokens = within + torch.tensor([start for start, _ in documents]).repeat_interleave(lengths)
    slots = within + torch.tensor(at).repeat_interleave(lengths)
    num_slots = num_blocks * block
    source = tokens.new_full((num_slots + 2 * reach,), documents[0][0])
    source[slots + reach] = tokens
    # Padding is one more document: its queries see its keys, so no row of the mask is empty.
    owner = torch.full_like(source, -1)
    owner[slots + reach] = torch.arange(len(documents)).repeat_interleave(lengths)
    mask = _mask(owner, sizes, sight)
    is_row = torch.equal(slots, torch.arange(len(slots))) and torch.equal(tokens, slots + tokens[0])
    first = int(tokens[0]) if is_row else None
    return Band(source, mask, block, reach, first, len(tokens)), tokens, slots, num_slots


def _reach(sight: int) -> int:
    return -(-sight // _STEP) * _STEP


def _block(sight: int) -> int:
    return max(_ROW, _reach(sight))


def _mask(
    owner: Int[Tensor, "keys"], sizes: tuple[int, int, int], sight: _Sight
) -> Float[Tensor, "N 1 block reached"]:
    num_blocks, block, reach = sizes
    keys = owner.as_strided((num_blocks, 1, block + 2 * reach), (block, 0, 1))
    queries = owner.as_strided((num_blocks, block, 1), (block, 1, 0), reach)
    distance = torch.arange(block + 2 * reach) - reach - torch.arange(block)[:, None]
    return sight.mask(distance, queries == keys)[:, None]


def _starts(lengths: Sequence[int]) -> list[int]:
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    return starts[:-1]


_remembered = _Remembered()
