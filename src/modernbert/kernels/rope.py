"""Rotary positions, restarted at each document: places in, float32 angles out, then rotation."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor
from torch.autograd import Function

_TILE = 128
"""Tokens turned in one go: few enough that nothing leaves a core's cache in between."""


@dataclass(frozen=True, slots=True)
class Rope:
    """The angles of every token of a batch; made once, used by all layers with the same theta."""

    cos: Float32[Tensor, "T 1 half"]
    sin: Float32[Tensor, "T 1 half"]


def make_rope(place: Int[Tensor, "T"], head_dim: int, theta: float) -> Rope:
    """Compute angles in float32 whatever the model's dtype (RoFormer, arXiv 2104.09864)."""
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32, device=place.device)
    frequency = 1.0 / theta ** (exponent / head_dim)
    angle = (place.float()[:, None] * frequency)[:, None]
    return Rope(angle.cos(), angle.sin())


def rotate(
    qkv: Float[Tensor, "T 3 H K"], rope: Rope
) -> tuple[Float[Tensor, "T H K"], Float[Tensor, "T H K"], Float[Tensor, "T H K"]]:
    """Return q and k with each pair (i, i + K/2) turned by its token's angle, and v as it is.

    The turn is computed in float32 at least and rounded once to the dtype of `qkv`.
    """
    q, k, v = _Rotate.apply(qkv, rope.cos, rope.sin)  # type: ignore[no-untyped-call]
    return q, k, v


def rotate_(
    qkv: Float[Tensor, "T 3 H K"], rope: Rope
) -> tuple[Float[Tensor, "T H K"], Float[Tensor, "T H K"], Float[Tensor, "T H K"]]:
    """Rotate as `rotate` does, inside the memory of `qkv` where no gradient is recorded."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return rotate(qkv, rope)
    _turn_in_place(qkv[:, :2].flatten(1, 2), rope)
    q, k, v = qkv.unbind(1)
    return q, k, v


class _Rotate(Function):
    """The backward pass is the opposite turn, so nothing is kept but the angles."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(cos, sin)
        q, k, v = qkv.unbind(1)
        return _turned(q, cos, sin), _turned(k, cos, sin), v.view_as(v)

    @staticmethod
    def backward(ctx: Any, grad_q: Tensor, grad_k: Tensor, grad_v: Tensor) -> tuple[Any, ...]:
        cos, sin = ctx.saved_tensors
        grad = grad_v.new_empty((len(grad_v), 3, *grad_v.shape[1:]))
        _turn(grad_q, cos, sin.neg(), out=grad[:, 0])
        _turn(grad_k, cos, sin.neg(), out=grad[:, 1])
        grad[:, 2] = grad_v
        return grad, None, None


def _turn_in_place(x: Tensor, rope: Rope) -> None:
    for at in range(0, len(x), _TILE):
        tile = slice(at, at + _TILE)
        x[tile] = _turned(x[tile], rope.cos[tile], rope.sin[tile])


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    _turn(x, cos, sin, out)
    return out


def _turn(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    exact = torch.promote_types(x.dtype, torch.float32)
    left, right = x.to(exact).chunk(2, -1)
    wide = out if out.dtype == exact else torch.empty(x.shape, dtype=exact, device=x.device)
    out_left, out_right = wide.chunk(2, -1)
    torch.mul(left, cos, out=out_left).addcmul_(right, sin, value=-1)
    torch.mul(right, cos, out=out_right).addcmul_(left, sin)
    if wide is not out:
        out.copy_(wide)
