"""Encoded tokens and their layout in, one vector a document out."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.batch import Layout, segments
from modernbert.model.sentence_config import PoolingMode


def pool(x: Float[Tensor, "T D"], layout: Layout, mode: PoolingMode) -> Float[Tensor, "S D"]:
    """Make one vector of each document's tokens.

    Means are summed in float32 at least: bfloat16 would lose the later tokens of a long text.
    """
    return _POOLINGS[mode](x, layout)


def _first(x: Tensor, layout: Layout) -> Tensor:
    return x.index_select(0, layout.cu_seqlens[:-1].long())


def _last(x: Tensor, layout: Layout) -> Tensor:
    return x.index_select(0, layout.cu_seqlens[1:].long() - 1)


def _largest(x: Tensor, layout: Layout) -> Tensor:
    lowest = x.new_full((len(layout.cu_seqlens) - 1, x.shape[1]), -float("inf"))
    document = segments(layout, len(x))[:, None].expand_as(x)
    return lowest.scatter_reduce(0, document, x, "amax")


def _mean(x: Tensor, layout: Layout) -> Tensor:
    return (_sum(x, layout) / _counts(layout)).to(x.dtype)


def _mean_by_root(x: Tensor, layout: Layout) -> Tensor:
    return (_sum(x, layout) / _counts(layout).sqrt()).to(x.dtype)


def _sum(x: Tensor, layout: Layout) -> Tensor:
    wide = x if x.dtype.itemsize > 2 else x.float()
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        # The same sums in the same order, one call for all documents instead of one a token.
        tokens, starts = torch.arange(len(x)), layout.cu_seqlens[:-1].long()
        return F.embedding_bag(tokens, wide, starts, mode="sum")
    sums = wide.new_zeros(len(layout.cu_seqlens) - 1, x.shape[1])
    return sums.index_add(0, segments(layout, len(x)), wide)


def _counts(layout: Layout) -> Tensor:
    return layout.cu_seqlens.diff()[:, None]


_POOLINGS: dict[PoolingMode, Callable[[Tensor, Layout], Tensor]] = {
    "cls": _first,
    "lasttoken": _last,
    "max": _largest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
}
