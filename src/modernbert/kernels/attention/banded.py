"""Attention on a CPU: documents one by one through torch's fused kernel."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from modernbert.batch import Layout


def attend(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
) -> Float[Tensor, "T H K"]:
    """Attend document by document."""
    lengths = layout.lengths()
    documents = zip(*(x.transpose(0, 1).split(lengths, 1) for x in (q, k, v)), strict=True)
    mixed = []
    for one in documents:
        band = None
        if window is not None:
            size = one[0].shape[1]
            band = torch.ones(size, size, dtype=torch.bool).tril(window // 2).triu(-(window // 2))
        mixed.append(F.scaled_dot_product_attention(*(x[None] for x in one), attn_mask=band)[0])
    return torch.cat(mixed, 1).transpose(0, 1)
