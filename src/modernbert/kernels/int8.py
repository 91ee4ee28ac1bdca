"""Products in 8 bits on a CPU: vectors are rounded as they come, to 0 to 255 between two ends.

A matrix is kept as integers with a scale a row. What it multiplies is rounded between each token's
own smallest and largest number: one outlier would set the steps of all tokens, and what is said of
a text would follow from what else is in its batch (lab/LOG.md).
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


def rounded(
    weight: Float[Tensor, "N K"], steps: int = STEPS
) -> tuple[Int8[Tensor, "N K"], Float[Tensor, "N"]]:
    """Round a matrix to 8 bits, with a scale a row and so many steps to each side of 0."""
    wide = weight.float()
    scales = wide.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / steps
    return (wide / scales[:, None]).round().to(torch.int8), scales


def pack(
    whole: Int8[Tensor, "N K"], scales: Float[Tensor, "N"], bias: Float[Tensor, "N"] | None
) -> Packed:
    """Lay a matrix that was rounded out for `linear`."""
    # A token's scale and offset lie behind its numbers: they are to add nothing.
    return Packed(
        torch.ops.onednn.qlinear_prepack(F.pad(whole, (0, _TAIL)), None),
        scales,
        torch.zeros(len(scales), dtype=torch.int64),
        whole.sum(1, dtype=torch.int64).float() * scales,
        None if bias is None else bias.float(),
    )


def linear(x: Float[Tensor, "T K"], packed: Packed) -> Float[Tensor, "T N"]:
    """Multiply by a packed matrix, without gradients; the output has the dtype of `x`."""
    steps: Tensor = torch.ops.quantized.embedding_bag_byte_prepack(x.float())
    scales, offsets = steps[:, -_TAIL:].contiguous().view(torch.float32).split(1, 1)
    matrix = (packed.weight, packed.scales, packed.zeros, None)
    y: Tensor = torch.ops.onednn.qlinear_pointwise(
        steps, 1.0, 0, *matrix, 1.0, 0, torch.float32, "none", [], ""
    )
    y.mul_(scales).addr_(offsets[:, 0], packed.sums)
    return (y if packed.bias is None else y.add_(packed.bias)).to(x.dtype)
