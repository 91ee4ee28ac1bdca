"""Encoded tokens and their layout in, one vector a document out."""

from jaxtyping import Float
from torch import Tensor

from modernbert.batch import Layout, segments
from modernbert.model.config import Pooling


def pool(x: Float[Tensor, "T D"], layout: Layout, pooling: Pooling) -> Float[Tensor, "S D"]:
    """Take each document's first token, or the mean of all its tokens.

    The mean is summed in float32 at least: bfloat16 would lose the later tokens of a long text.
    """
    starts = layout.cu_seqlens.long()
    if pooling == "cls":
        return x.index_select(0, starts[:-1])
    wide = x if x.dtype.itemsize > 2 else x.float()
    sums = wide.new_zeros(len(starts) - 1, x.shape[1])
    sums = sums.index_add(0, segments(layout, len(x)), wide)
    return (sums / starts.diff()[:, None]).to(x.dtype)
