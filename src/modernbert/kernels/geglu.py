"""The gate of the MLP: both halves of a projection in, act(first) * second out."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from modernbert.base.shapes import Float

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "relu": F.relu,
}

_BACKWARDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gelu": torch.ops.aten.gelu_backward,
    "gelu_tanh": lambda grad, x: torch.ops.aten.gelu_backward(grad, x, approximate="tanh"),
    "silu": torch.ops.aten.silu_backward,
    "relu": lambda grad, x: torch.ops.aten.threshold_backward(grad, x, 0),
}


def gated(both: Float[Tensor, "T J"], activation: str) -> Float[Tensor, "T I"]:
    """Multiply the activated first half by the second (GLU Variants, arXiv 2002.05202).

    Keeps only its input for the backward pass: the activation is cheaper to redo than to store.
    """
    if not torch.is_grad_enabled():
        return _mixed(both, activation)
    out: Tensor = _Gated.apply(both, activation)  # type: ignore[no-untyped-call]
    return out


def _mixed(both: Tensor, activation: str) -> Tensor:
    first, second = both.chunk(2, -1)
    return ACTIVATIONS[activation](first).mul_(second)


class _Gated(Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor, activation: str) -> Tensor:
        ctx.save_for_backward(both)
        ctx.activation = activation
        return _mixed(both, activation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (both,) = ctx.saved_tensors
        first, second = both.chunk(2, -1)
        if torch.compiler.is_compiling():
            # It fuses what is new, and does not write into a part of a tensor.
            grad_first = _BACKWARDS[ctx.activation](grad * second, first)
            return torch.cat([grad_first, ACTIVATIONS[ctx.activation](first) * grad], -1), None
        grad_both = torch.empty_like(both)
        grad_first, grad_second = grad_both.chunk(2, -1)
        torch.mul(ACTIVATIONS[ctx.activation](first), grad, out=grad_second)
        grad_first.copy_(_BACKWARDS[ctx.activation](grad * second, first))
        return grad_both, None
