"""The oracle: attention as the formula reads. Any dtype, any device, no fused kernel."""

import torch
from torch import Tensor

from modernbert.base.shapes import Bool, Float
from modernbert.batch import Layout, segments


def attend(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
) -> Float[Tensor, "T H K"]:
    """Compute softmax attention with everything written out; costs T x T memory a head."""
    return torch.einsum("hqt,thk->qhk", shares(q, k, layout, window), v)


def shares(
    q: Float[Tensor, "T H K"], k: Float[Tensor, "T H K"], layout: Layout, window: int | None = None
) -> Float[Tensor, "H T T"]:
    """Return how each query divides its attention among the keys."""
    scores = torch.einsum("qhk,thk->hqt", q, k) * q.shape[-1] ** -0.5
    seen: Tensor = scores.masked_fill(~visible(layout, len(q), window), -torch.inf)
    return seen.softmax(-1)


def visible(layout: Layout, num_tokens: int, window: int | None) -> Bool[Tensor, "T T"]:
    """Return True where a query may look at a key (paper, section 2.1.2: both ends count)."""
    document = segments(layout, num_tokens)
    seen = document[:, None] == document[None, :]
    index = torch.arange(len(document), device=document.device)
    back = index[:, None] - index[None, :]
    if window is not None:
        seen = seen & (back.abs() <= window // 2)
    return seen & (back >= 0) if layout.is_causal else seen
