"""Attention on a padded grid with torch's fused kernels: runs on every device torch knows."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from modernbert.base.shapes import Bool, Float
from modernbert.batch import Layout, pad, real


def attend(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
) -> Float[Tensor, "T H K"]:
    """Pad, attend under a mask, take the padding away; costs S x L x L mask memory."""
    grid = (pad(x, layout).transpose(1, 2) for x in (q, k, v))  # S H L K
    queries, keys, values = grid
    with _safe_kernels(q.device):
        mixed = F.scaled_dot_product_attention(queries, keys, values, _mask(layout, window))
    return mixed.transpose(1, 2)[real(layout)]


def attend_to(
    readable: Bool[Tensor, "T"],
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
) -> Float[Tensor, "T H K"]:
    """Attend as above, but to readable tokens only; a token that sees none of them gets zeros.

    Costs S x L x L mask memory.
    """
    queries, keys, values = (pad(x, layout).transpose(1, 2) for x in (q, k, v))  # S H L K
    seen = _near(layout, window) & pad(readable, layout)[:, None, None, :]
    is_blind = ~seen.any(-1, keepdim=True)
    with _safe_kernels(q.device):
        # A row that sees nothing is NaN in some kernels: it sees everything, and is then cleared.
        mixed = F.scaled_dot_product_attention(queries, keys, values, seen | is_blind)
    return mixed.masked_fill(is_blind, 0).transpose(1, 2)[real(layout)]


def _mask(layout: Layout, window: int | None) -> Bool[Tensor, "S 1 L L"]:
    seen = _near(layout, window) & real(layout)[:, None, None, :]
    # A row that sees nothing is NaN in some kernels: padding looks at itself.
    return seen | _near(layout, 0)


def _near(layout: Layout, window: int | None) -> Bool[Tensor, "1 1 L L"]:
    """Return True where two places are near enough to see each other; None is everywhere."""
    index = torch.arange(layout.max_seqlen, device=layout.cu_seqlens.device)
    reach = layout.max_seqlen if window is None else window // 2
    back = index[:, None] - index[None, :]
    near = back.abs() <= reach
    return (near & (back >= 0) if layout.is_causal else near)[None, None]


def _safe_kernels(device: torch.device) -> AbstractContextManager[None]:
    if device.type != "cuda":
        return nullcontext()
    # cuDNN's backward under a mask gives NaN at some lengths (huggingface/trl#7181).
    kernels = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel(kernels)
