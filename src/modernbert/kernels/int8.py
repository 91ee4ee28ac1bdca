"""Products in 8 bits on a CPU: vectors are rounded as they come, to 0 to 255 between two ends.

A matrix is kept as integers with a scale a row. What it multiplies is rounded between the smallest
and the largest number of some tokens, or of each token where these differ much in size: one
outlier would set the steps of all (lab/LOG.md).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from modernbert.base.shapes import Float, Int8

STEPS = 63
"""Of a matrix, to each side: 7 bits of the 8, as processors without instructions for 8 (x86 before
VNNI) add products in pairs in 16 bits, and would cut larger ones off."""
_TAIL = 8
"""Bytes behind what is rounded: its scale and its offset, as float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A matrix in 8 bits, in the order in which oneDNN reads it."""

    weight: Tensor
    scales: Float[Tensor, "N"]
    zeros: Tensor
    sums: Float[Tensor, "N"]
    """Of each row's numbers: what an offset of 1 adds to its product."""
    bias: Float[Tensor, "N"] | None
    is_by_token: bool
    """Whether each token is rounded between its own ends."""


def rounded(weight: Float[Tensor, "N K"]) -> tuple[Int8[Tensor, "N K"], Float[Tensor, "N"]]:
    """Round a matrix to 8 bits, with a scale a row."""
    wide = weight.float()
    scales = wide.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / STEPS
    return (wide / scales[:, None]).round().to(torch.int8), scales


def pack(
    whole: Int8[Tensor, "N K"],
    scales: Float[Tensor, "N"],
    bias: Float[Tensor, "N"] | None,
    *,
    is_by_token: bool,
) -> Packed:
    """Lay a matrix that was rounded out for `linear`."""
    # A token's scale and offset lie behind its numbers: they are to add nothing.
    padded = F.pad(whole, (0, _TAIL)) if is_by_token else whole
    return Packed(
        torch.ops.onednn.qlinear_prepack(padded, None),
        scales,
        torch.zeros(len(scales), dtype=torch.int64),
        whole.sum(1, dtype=torch.int64).float() * scales,
        None if bias is None else bias.float(),
        is_by_token,
    )


def linear(x: Float[Tensor, "T K"], packed: Packed) -> Float[Tensor, "T N"]:
    """Multiply by a packed matrix, without gradients; the output has the dtype of `x`."""
    return (_by_token if packed.is_by_token else _together)(x, packed)


def _by_token(x: Float[Tensor, "T K"], packed: Packed) -> Float[Tensor, "T N"]:
    steps, ends = _rounded_rows(x)
    y = _product(steps, 1.0, packed, None, torch.float32)
    y.mul_(ends[:, :1]).addr_(ends[:, 1], packed.sums)
    return (y if packed.bias is None else y.add_(packed.bias)).to(x.dtype)


def _together(x: Float[Tensor, "T K"], packed: Packed) -> Float[Tensor, "T N"]:
    steps, ends = _rounded_rows(x.reshape(1, -1))
    scale, offset = ends[0].tolist()
    added = packed.sums * offset if packed.bias is None else packed.bias + packed.sums * offset
    places = steps[0, :-_TAIL].view(x.shape)
    return _product(places, scale, packed, added, x.dtype)


def _rounded_rows(x: Float[Tensor, "R K"]) -> tuple[Tensor, Float[Tensor, "R 2"]]:
    """Round each row between its ends; return bytes with the tail, and scale and offset."""
    found: Tensor = torch.ops.quantized.embedding_bag_byte_prepack(x.float())
    return found, found[:, -_TAIL:].contiguous().view(torch.float32)


def _product(
    steps: Tensor, scale: float, packed: Packed, bias: Tensor | None, dtype: torch.dtype
) -> Float[Tensor, "T N"]:
    matrix = (packed.weight, packed.scales, packed.zeros, bias)
    out: Tensor = torch.ops.onednn.qlinear_pointwise(
        steps, scale, 0, *matrix, 1.0, 0, dtype, "none", [], ""
    )
    return out
