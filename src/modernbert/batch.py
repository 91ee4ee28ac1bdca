"""The one thing that flows: documents laid end to end with no padding between them.

Legend for every shape in the project: T tokens, S sequences, D model width, H heads,
K head width, V vocabulary; B and L only where a padded (batch, length) grid is unavoidable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from modernbert.base.errors import DataError
from modernbert.base.shapes import Bool, Int, Int32, Shaped


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each sequence starts and ends on the flat token axis; shared by all layers."""

    cu_seqlens: Int32[Tensor, "S1"]
    """Starts of the sequences, then the total: S + 1 numbers."""
    max_seqlen: int
    """Length of the longest sequence."""
    is_causal: bool = False
    """Whether a token sees only itself and what stands before it, as a text generator does."""

    @classmethod
    def of(cls, lengths: Sequence[int], *, is_causal: bool = False) -> "Layout":
        """Lay out sequences of these lengths, in tokens, in this order."""
        starts = torch.zeros(len(lengths) + 1, dtype=torch.int32)
        torch.cumsum(torch.tensor(lengths, dtype=torch.int32), 0, out=starts[1:])
        return cls(starts, max(lengths, default=0), is_causal)

    def to(self, device: torch.device | str) -> "Layout":
        """Move to a device."""
        return replace(self, cu_seqlens=self.cu_seqlens.to(device))

    def cut(self, longest: int) -> "Layout":
        """Divide sequences into as few pieces of at most so many tokens, as even as can be."""
        if self.max_seqlen <= longest:
            return self
        pieces = []
        for length in self.lengths():
            number = -(-length // longest)
            short, more = divmod(length, number)
            pieces += [short + 1] * more + [short] * (number - more)
        return Layout.of(pieces, is_causal=self.is_causal).to(self.cu_seqlens.device)

    def lengths(self) -> tuple[int, ...]:
        """Return the lengths as Python numbers; on a GPU this waits for the device."""
        return tuple(self.cu_seqlens.diff().tolist())


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Token ids of several documents, flat, with the layout that keeps them apart."""

    ids: Int[Tensor, "T"]
    layout: Layout

    def to(self, device: torch.device | str) -> "PackedBatch":
        """Move to a device."""
        return PackedBatch(self.ids.to(device), self.layout.to(device))


def pack(documents: Sequence[Sequence[int]]) -> PackedBatch:
    """Lay lists of token ids end to end.

    Raises:
        DataError: there is no document, or one has no token or is no list of ids.
    """
    if not len(documents):
        raise DataError("nothing to pack: give at least one list of token ids")
    listed = [_ids_of(ids, index) for index, ids in enumerate(documents)]
    return PackedBatch(torch.cat(listed), Layout.of([len(ids) for ids in listed]))


def _ids_of(ids: Any, index: int) -> Int[Tensor, "N"]:
    try:
        found = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"document {index} is no list of token ids: {error}") from error
    if not found.numel():
        raise DataError(f"document {index} has no tokens: leave it out before packing")
    if found.dim() != 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise DataError(
            f"document {index} is no list of token ids: it has shape {list(found.shape)} and "
            f"holds {str(found.dtype).removeprefix('torch.')}"
        )
    return found.long()


def unpad(ids: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> PackedBatch:
    """Take the tokens that a padded grid marks as real; padding may be on either side.

    Raises:
        DataError: a row is all padding.
    """
    lengths = mask.sum(1).tolist()
    if 0 in lengths:
        raise DataError(f"row {lengths.index(0)} has no tokens: leave it out before unpadding")
    return PackedBatch(ids[mask], Layout.of(lengths).to(ids.device))


def pad(x: Shaped[Tensor, "T ..."], layout: Layout) -> Shaped[Tensor, "S L ..."]:
    """Lay sequences out as rows of a grid, zeros after each; L is the longest length."""
    grid = x.new_zeros((layout.cu_seqlens.numel() - 1, layout.max_seqlen, *x.shape[1:]))
    return grid.masked_scatter(
        real(layout).view(*grid.shape[:2], *[1] * (x.dim() - 1)).expand_as(grid), x
    )


def real(layout: Layout) -> Bool[Tensor, "S L"]:
    """Return True where the grid of `pad` holds a token."""
    lengths = layout.cu_seqlens.diff()
    return torch.arange(layout.max_seqlen, device=lengths.device) < lengths[:, None]


def split(x: Shaped[Tensor, "T ..."], layout: Layout) -> list[Tensor]:
    """Return one view a sequence."""
    return list(x.split(layout.lengths()))


def gather(batch: PackedBatch, numbers: Sequence[int]) -> PackedBatch:
    """Lay some sequences of a batch end to end, in the order in which they are named."""
    sequences = split(batch.ids, batch.layout)
    ids = [sequences[number] for number in numbers]
    return PackedBatch(torch.cat(ids), Layout.of([len(each) for each in ids]))


def restore(
    groups: Sequence[Sequence[int]], pieces: Sequence[Sequence[Shaped[Tensor, "_ ..."]]]
) -> Shaped[Tensor, "R ..."]:
    """Join what was found of each sequence, group by group, in the order before `gather`."""
    found = dict(zip(chain(*groups), chain(*pieces), strict=True))
    return torch.cat([found[number] for number in range(len(found))])


def segments(layout: Layout, num_tokens: int) -> Int[Tensor, "T"]:
    """Return for each token the number of its sequence; never waits for a device."""
    starts = layout.cu_seqlens[1:].long()
    return torch.searchsorted(starts, torch.arange(num_tokens, device=starts.device), right=True)


def positions(layout: Layout, num_tokens: int) -> Int[Tensor, "T"]:
    """Return for each token its place in its sequence, from 0."""
    starts = layout.cu_seqlens.long()[segments(layout, num_tokens)]
    return torch.arange(num_tokens, device=starts.device) - starts
