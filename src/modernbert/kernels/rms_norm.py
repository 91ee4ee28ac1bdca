"""Vectors in, the same brought to one size out: root mean square, no mean taken away."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from modernbert.base.shapes import Float


def rms_norm(
    x: Float[Tensor, "... N"], weight: Float[Tensor, "N"], eps: float
) -> Float[Tensor, "... N"]:
    """Divide by the root of the mean square, times a weight each (RMSNorm, arXiv 1910.07467).

    Computed in the wider of the two formats, and rounded once to that of `x`.
    """
    is_slow = x.device.type == "cpu" and torch.is_grad_enabled()
    if is_slow and not torch.compiler.is_compiling():
        # torch has one operation for it on a GPU alone: here a gradient keeps four times as much.
        out: Tensor = _RmsNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
        return out
    exact = torch.promote_types(x.dtype, weight.dtype)
    return F.rms_norm(x.to(exact), weight.shape, weight.to(exact), eps).to(x.dtype)


class _RmsNorm(Function):
    """Keeps its input and a number a vector."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        exact = torch.promote_types(x.dtype, weight.dtype)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
        share = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, share)
        out: Tensor = (x * share).mul_(weight).to(x.dtype)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, share = ctx.saved_tensors
        # A layer norm whose mean was 0; it takes the mean of this away too, which is put back.
        inner, wide = grad.to(share.dtype), x.to(share.dtype)
        given = (inner, wide, weight.shape, torch.zeros_like(share), share, weight.to(wide), None)
        grad_x, grad_weight, _ = torch.ops.aten.native_layer_norm_backward(
            *given, [True, True, False]
        )
        grad_x += share * (inner @ weight.to(wide) / x.shape[-1])[..., None]
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), None
