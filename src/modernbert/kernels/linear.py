"""Products with a matrix of weights: x and weight in, x @ weight.T + bias out, with gradients."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from modernbert.base import device
from modernbert.base.shapes import Float

_PLAIN = (Tensor, nn.Parameter)
_FEWEST = 2**21
"""Multiplications from which oneDNN's longer way to a product is worth its while."""
_ADDED_ROWS = 8192
"""Rows of a product that a CPU makes before it adds them to what is there."""


def linear(
    x: Float[Tensor, "... K"], weight: Float[Tensor, "N K"], bias: Float[Tensor, "N"] | None = None
) -> Float[Tensor, "... N"]:
    """Multiply by a matrix as `F.linear` does, in float32 by the faster of torch's two libraries.

    torch takes MKL, whose vectors are half as wide as they could be on processors with AVX-512
    that Intel did not make; oneDNN uses all of them (lab/LOG.md).
    """
    if not _is_by_onednn(x, weight):
        return F.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        return _product(x, weight, bias)
    out: Tensor = _Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out


def add_product(
    total: Float[Tensor, "M N"], a: Float[Tensor, "M K"], b: Float[Tensor, "N K"]
) -> None:
    """Add a @ b.T to a sum, which may be wider than they are, without gradients."""
    if total.dtype == a.dtype and not _is_by_onednn(a, b):
        total.addmm_(a, b.T)
        return
    size = _ADDED_ROWS if total.device.type == "cpu" else len(total)
    for part, rows in zip(total.split(size), a.split(size), strict=True):
        part += linear(rows, b)


def _is_by_onednn(x: Tensor, weight: Tensor) -> bool:
    if not device.MKL_IS_NARROW or _is_watched() or torch.is_autocast_enabled("cpu"):
        return False
    are_wide = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    # What is more than numbers, a tensor split over processes say, has ways of its own.
    is_plain = type(x) in _PLAIN and type(weight) in _PLAIN
    return are_wide and is_plain and x.dim() > 1 and x.numel() * len(weight) >= _FEWEST


def _is_watched() -> bool:
    """Return whether somebody reads the operations themselves: a counter, an exporter."""
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting()
    return torch._C._len_torch_dispatch_stack() > 0


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not (weight.is_contiguous() or weight.t().is_contiguous()):
        # Of a matrix with gaps between its rows oneDNN makes products a thousand times as slowly.
        weight = weight.contiguous()
    if torch.compiler.is_compiling():
        hidden: Tensor = _opaque(x, weight, bias)
        return hidden
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


@torch.library.custom_op("modernbert::product", mutates_args=())
def _opaque(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Hide the product from the compiler, which knows it of frozen matrices alone."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


@_opaque.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ARG001
    return x.new_empty((*x.shape[:-1], len(weight)))


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            linear(grad, weight.t()) if needs_x else None,
            linear(rows.t(), x.flatten(0, -2).t()) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )
