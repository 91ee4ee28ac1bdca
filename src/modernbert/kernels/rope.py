"""Rotary positions, restarted at each document: places in, float32 angles out, then rotation."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from modernbert.base.shapes import Float, Float32, Int
from modernbert.kernels.scaling import UNSCALED, RopeScaling

_TILE = 128
"""Tokens turned in one go: few enough that nothing leaves a core's cache in between."""
_GRAIN = 32_768
"""Numbers below which torch gives a thread no part of an operation."""


@dataclass(frozen=True, slots=True)
class Rope:
    """The angles of every token of a batch; made once, used by all layers with the same theta."""

    cos: Float32[Tensor, "T 1 half"]
    sin: Float32[Tensor, "T 1 half"]


def make_rope(
    place: Int[Tensor, "T"], head_dim: int, theta: float, scaling: RopeScaling = UNSCALED
) -> Rope:
    """Compute angles in float32 whatever the model's dtype (RoFormer, arXiv 2104.09864)."""
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32, device=place.device) / head_dim
    frequency = frequencies(theta**exponent, theta, scaling)
    angle = (place.float()[:, None] * frequency)[:, None]
    share = scaling.attention_factor
    if share == 1:
        return Rope(angle.cos(), angle.sin())
    return Rope(angle.cos() * share, angle.sin() * share)


def frequencies(
    period: Float32[Tensor, "half"], theta: float, scaling: RopeScaling
) -> Float32[Tensor, "half"]:
    """Return the angle that a place adds to each pair of a head.

    Far places multiply its rounding, so operations are in the order that others use too.
    """
    if scaling.kind == "linear":
        return 1.0 / period / scaling.factor
    if scaling.kind == "yarn":
        return _yarn(period, theta, scaling)
    return _llama3(1.0 / period, scaling) if scaling.kind == "llama3" else 1.0 / period


def _yarn(
    period: Float32[Tensor, "half"], theta: float, scaling: RopeScaling
) -> Float32[Tensor, "half"]:
    """Slow what turns less than `beta_slow` times, blend up to `beta_fast` (arXiv 2309.00071)."""
    half = len(period)

    def index_of(turns: float) -> float:
        return half * math.log(scaling.original_length / (turns * 2 * math.pi)) / math.log(theta)

    low = max(math.floor(index_of(scaling.beta_fast)), 0)
    high = min(math.ceil(index_of(scaling.beta_slow)), 2 * half - 1)
    # A blend of no width would divide by zero.
    ramp = (torch.arange(half, dtype=torch.float32, device=period.device) - low) / (
        max(high - low, 0.001)
    )
    kept = 1 - ramp.clamp(0, 1)
    return 1.0 / (scaling.factor * period) * (1 - kept) + 1.0 / period * kept


def _llama3(frequency: Float32[Tensor, "half"], scaling: RopeScaling) -> Float32[Tensor, "half"]:
    """Slow waves longer than the original length, blend up to a share of it (Llama 3.1)."""
    length, low, high = scaling.original_length, scaling.low_freq_factor, scaling.high_freq_factor
    wave = 2 * math.pi / frequency
    kept = (length / wave - low) / (high - low)
    blended = (1 - kept) * frequency / scaling.factor + kept * frequency
    slowed = torch.where(wave > length / low, frequency / scaling.factor, blended)
    return torch.where(wave < length / high, frequency, slowed)


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
    """Rotate as `rotate` does; where no gradient is recorded, `qkv` may be overwritten."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return rotate(qkv, rope)
    both, v = qkv.split((2, 1), 1)
    pair = both.flatten(1, 2)
    tiles = _tiles(pair)
    if len(tiles) == 1:
        # So little that to copy it back takes longer than its memory is worth.
        turned = torch.empty(pair.shape, dtype=pair.dtype, device=pair.device)
        _turn_tile(pair, rope.cos, rope.sin, turned)
        return *turned.chunk(2, 1), v.squeeze(1)
    for tile in tiles:
        turned = torch.empty_like(pair[tile])
        _turn_tile(pair[tile], rope.cos[tile], rope.sin[tile], turned)
        pair[tile] = turned
    return *pair.chunk(2, 1), v.squeeze(1)


class _Rotate(Function):
    """The backward pass is the opposite turn, so nothing is kept but the angles."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(cos, sin)
        # Together, for twice the numbers a row are less than twice the time.
        turned = _turned(qkv[:, :2].flatten(1, 2), cos, sin)
        v = qkv[:, 2]
        return *turned.chunk(2, 1), v.view_as(v)

    @staticmethod
    def backward(ctx: Any, grad_q: Tensor, grad_k: Tensor, grad_v: Tensor) -> tuple[Any, ...]:
        cos, sin = ctx.saved_tensors
        if torch.compiler.is_compiling():
            turned = (_turned(grad, cos, sin.neg()) for grad in (grad_q, grad_k))
            return torch.stack([*turned, grad_v], 1), None, None
        grad = grad_v.new_empty((len(grad_v), 3, *grad_v.shape[1:]))
        out, opposite = grad[:, :2].flatten(1, 2), sin.neg()
        for tile in _tiles(out):
            pair = torch.cat([grad_q[tile], grad_k[tile]], 1)
            _turn_tile(pair, cos[tile], opposite[tile], out[tile])
        grad[:, 2] = grad_v
        return grad, None, None


def _tiles(x: Tensor) -> list[slice]:
    """Cut the tokens where a cache is small; elsewhere each cut would cost a launch."""
    size = max(len(x), 1)
    if x.device.type == "cpu":
        share = torch.get_num_threads() * _GRAIN // max(x.shape[1] * x.shape[2] // 2, 1)
        size = max(_TILE, share)
    return [slice(at, at + size) for at in range(0, len(x), size)]


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        # It fuses what is new, and takes what is written into for of a fixed size.
        left, right = x.to(torch.promote_types(x.dtype, torch.float32)).chunk(2, -1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], -1).to(x.dtype)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    for tile in _tiles(x):
        _turn_tile(x[tile], cos[tile], sin[tile], out[tile])
    return out


def _turn_tile(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    exact = torch.promote_types(x.dtype, torch.float32)
    shape = (*x.shape[:2], 2, x.shape[2] // 2)
    halves = x.to(exact).view(shape)
    wide = out if out.dtype == exact else torch.empty(x.shape, dtype=exact, device=x.device)
    turned = wide.view(shape)
    torch.mul(halves, cos[:, None], out=turned)
    left, right = halves.unbind(2)
    new_left, new_right = turned.unbind(2)
    new_left.addcmul_(right, sin, value=-1)
    new_right.addcmul_(left, sin)
    if wide is not out:
        out.copy_(wide)
