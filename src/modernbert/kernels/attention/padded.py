"""Attention on a padded grid with torch's fused kernels: runs on every device torch knows."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

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


def _mask(layout: Layout, window: int | None) -> Bool[Tensor, "S 1 L L"]:
    index = torch.arange(layout.max_seqlen, device=layout.cu_seqlens.device)
    distance = (index[:, None] - index[None, :]).abs()
    seen = real(layout)[:, None, None, :]
    if window is not None:
        seen = seen & (distance <= window // 2)
    # A row that sees nothing is NaN in some kernels: padding looks at itself.
    return seen | (distance == 0)


def _safe_kernels(device: torch.device) -> AbstractContextManager[None]:
    if device.type != "cuda":
        return nullcontext()
    # cuDNN's backward under a mask gives NaN at some lengths (huggingface/trl#7181).
    kernels = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel(kernels)
