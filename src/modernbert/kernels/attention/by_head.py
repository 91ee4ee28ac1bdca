"""Attention in which every token reads its whole document, a head at a time, by plain products.

torch's fused kernel multiplies by MKL: where that is narrow, oneDNN's products and a softmax
between them are 1.5 times as fast at 512 tokens and 1.7 times from 2,048 on (lab/LOG.md).
"""

from itertools import product

import torch
from torch import Tensor

from modernbert.base import device
from modernbert.base.shapes import Float
from modernbert.kernels.linear import linear

_SHORTEST = 512
"""Tokens from which the calls, several a head, are worth their while."""
_ROWS = 256
"""Queries whose scores are held at once: 8 MiB where a document has 8,192 tokens."""


def is_faster(q: Float[Tensor, "N H L K"]) -> bool:
    """Return whether queries are many enough, and computed where the fused kernel is slow."""
    return device.MKL_IS_NARROW and q.shape[2] >= _SHORTEST and q.dtype != torch.float64


def attend(
    q: Float[Tensor, "N H L K"], k: Float[Tensor, "N H L K"], v: Float[Tensor, "N H L K"]
) -> Float[Tensor, "N H L K"]:
    """Mix in float32, without gradients; the output is laid out as [N L H K] and has q's dtype."""
    mixed = torch.empty_like(q.transpose(1, 2), memory_format=torch.contiguous_format)
    out, scale = mixed.transpose(1, 2), q.shape[3] ** -0.5
    pairs = product(range(q.shape[0]), range(q.shape[1]))
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        for pair in pairs:
            # oneDNN is slow where a matrix has gaps between its rows.
            keys, values = (x[pair].float().contiguous() for x in (k, v))
            queries = q[pair].float() * scale
            for some, place in zip(queries.split(_ROWS), out[pair].split(_ROWS), strict=True):
                place.copy_(linear(linear(some, keys).softmax(-1), values.t()))
    return out
