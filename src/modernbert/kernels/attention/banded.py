"""Attention on a CPU: a fused call for all bands, one for documents of one length."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.kernels.attention import by_head
from modernbert.kernels.attention.plan import Band, Plan, Whole, lengths_of, plan_for

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

Grads = tuple[Tensor, Tensor, Tensor]

_SHORT = 512
"""Tokens up to which torch's backward pass is faster in float32 than in bfloat16: five times on
blocks of 64, 1.4 times on documents of 256, equal at 1,024 (Xeon with AMX, torch 2.13)."""


def attend(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
) -> Float[Tensor, "T H K"]:
    """Attend without a T x T mask: local layers cost time and memory linear in T."""
    if torch.compiler.is_compiling():
        # Plans are Python: a compiler is to leave them alone, between two graphs.
        eager: Tensor = torch.compiler.disable(_planned)(q, k, v, layout, window)
        return eager
    return _planned(q, k, v, layout, window)


def _planned(q: Tensor, k: Tensor, v: Tensor, layout: Layout, window: int | None) -> Tensor:
    exact = torch.promote_types(q.dtype, torch.float32)
    plan = plan_for(lengths_of(layout), window, exact, layout.is_causal)
    if not (torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))):
        return _placed(_joined([_read(stretch, q, k, v) for stretch in plan.stretches]), plan)
    mixed: Tensor = _Attend.apply(q, k, v, plan)  # type: ignore[no-untyped-call]
    return mixed


class _Attend(Function):
    """Attention stretch by stretch; keeps q, k, v, the output and a number a row and head."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, plan: Plan) -> Tensor:
        pairs = [_mix(stretch, q, k, v) for stretch in plan.stretches]
        slots = _joined([mixed for mixed, _ in pairs])
        ctx.plan = plan
        ctx.save_for_backward(q, k, v, slots, *(logsumexp for _, logsumexp in pairs))
        return _placed(slots, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, slots, *logsumexps = ctx.saved_tensors
        stretches = ctx.plan.stretches
        outs = slots.split([_num_slots(stretch) for stretch in stretches])
        zipped = zip(stretches, outs, logsumexps, strict=True)
        parts = [_unmix(stretch, (grad, q, k, v, out), lse) for stretch, out, lse in zipped]
        grads = (_placed(_joined(list(part)), ctx.plan) for part in zip(*parts, strict=True))
        return *grads, None


def _num_slots(stretch: Whole | Band) -> int:
    if isinstance(stretch, Whole):
        return stretch.number * stretch.length
    return stretch.num_blocks * stretch.block


def _mix(stretch: Whole | Band, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(stretch, Whole):
        grids = (_grid(x, stretch) for x in (q, k, v))
        mixed, logsumexp = _forward(*grids, 0.0, stretch.is_causal, attn_mask=stretch.mask)
        return mixed.transpose(1, 2).flatten(0, 1), logsumexp
    queries, keys, values = _queries(q, stretch), _keys(k, stretch), _keys(v, stretch)
    mixed, logsumexp = _forward(queries, keys, values, attn_mask=stretch.mask)
    return mixed.transpose(1, 2).flatten(0, 1), logsumexp


def _unmix(stretch: Whole | Band, given: tuple[Tensor, ...], logsumexp: Tensor) -> Grads:
    grad, q, k, v, out = given
    if isinstance(stretch, Whole):
        grad, q, k, v = (_grid(x, stretch) for x in (grad, q, k, v))
        out = out.unflatten(0, (stretch.number, -1)).transpose(1, 2)
        wide = _widened(grad, q, k, v, out)
        grads = _backward(*wide, logsumexp, 0.0, stretch.is_causal, attn_mask=stretch.mask)
        return tuple(x.transpose(1, 2).flatten(0, 1).to(q.dtype) for x in grads)
    grad, q, k, v = (
        _queries(grad, stretch),
        _queries(q, stretch),
        _keys(k, stretch),
        _keys(v, stretch),
    )
    out = _blocks(out, stretch)
    wide = _widened(grad, q, k, v, out)
    grads = _backward(*wide, logsumexp, 0.0, False, attn_mask=stretch.mask)
    grad_q, grad_k, grad_v = (x.transpose(1, 2).to(q.dtype) for x in grads)
    return grad_q.flatten(0, 1), _overlapped(grad_k, stretch), _overlapped(grad_v, stretch)


def _widened(*given: Tensor) -> tuple[Tensor, ...]:
    """Return what a backward pass is given in the precision that it is faster in."""
    dtype, rows = given[0].dtype, given[0].shape[2]
    if rows > _SHORT:
        return given
    return tuple(x.to(torch.promote_types(dtype, torch.float32)) for x in given)


def _read(stretch: Whole | Band, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Mix and keep nothing for a gradient; tokens that lie in a row are read where they are."""
    if isinstance(stretch, Whole) and stretch.mask is None and not stretch.is_causal:
        grids = [_grid(x, stretch) for x in (q, k, v)]
        if by_head.is_faster(grids[0]):
            return by_head.attend(*grids).transpose(1, 2).flatten(0, 1)
    if isinstance(stretch, Whole) or not stretch.inner:
        mixed, _ = _mix(stretch, q, k, v)
        return mixed
    inner, num_blocks = stretch.inner, stretch.num_blocks
    parts = (range(inner.start), inner, range(inner.stop, num_blocks))
    found = [_read_blocks(stretch, part, q, k, v) for part in parts if part]
    return _joined([x.transpose(1, 2).flatten(0, 1) for x in found])


def _read_blocks(band: Band, part: range, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    start, num_slots = part.start * band.block, len(part) * band.block
    if part == band.inner:
        assert band.first is not None
        start += band.first - band.reach
        rows = [x.narrow(0, start, num_slots + 2 * band.reach) for x in (q, k, v)]
    else:
        source = band.source.narrow(0, start, num_slots + 2 * band.reach)
        rows = [x.index_select(0, source) for x in (q, k, v)]
    queries = _blocks(rows[0].narrow(0, band.reach, num_slots), band)
    keys, values = (_overlapping(x, band) for x in rows[1:])
    mask = band.mask[part.start : part.stop]
    mixed: Tensor = _forward(queries, keys, values, attn_mask=mask)[0]
    return mixed


def _grid(x: Tensor, stretch: Whole) -> Tensor:
    """View documents as a batch; no token is moved."""
    by_token, by_head, by_unit = x.stride()
    shape = (stretch.number, x.shape[1], stretch.length, x.shape[2])  # N H L K
    strides = (stretch.length * by_token, by_head, by_token, by_unit)
    return x.as_strided(shape, strides, x.storage_offset() + stretch.start * by_token)


def _queries(x: Tensor, band: Band) -> Tensor:
    inside = band.source.narrow(0, band.reach, _num_slots(band))
    return _blocks(x.index_select(0, inside), band)


def _blocks(x: Tensor, band: Band) -> Tensor:
    blocks: Tensor = x.unflatten(0, (-1, band.block))
    return blocks.transpose(1, 2)  # N H block K


def _keys(x: Tensor, band: Band) -> Tensor:
    return _overlapping(x.index_select(0, band.source), band)


def _overlapping(x: Tensor, band: Band) -> Tensor:
    """View slots as what each block reaches; no key is copied for two neighbouring blocks."""
    by_token, by_head, by_unit = x.stride()
    num_blocks = (len(x) - 2 * band.reach) // band.block
    shape = (num_blocks, x.shape[1], band.mask.shape[-1], x.shape[2])
    return x.as_strided(shape, (band.block * by_token, by_head, by_token, by_unit))


def _overlapped(x: Float[Tensor, "N keys H K"], band: Band) -> Float[Tensor, "slots H K"]:
    """Add up what neighbouring blocks say about the same keys."""
    if not band.reach:
        return x.flatten(0, 1)
    before, own, after = x.split((band.reach, band.block, band.reach), 1)
    total: Tensor = own.contiguous()
    total[:-1, band.block - band.reach :] += before[1:]
    total[1:, : band.reach] += after[:-1]
    return total.flatten(0, 1)


def _placed(slots: Tensor, plan: Plan) -> Tensor:
    if plan.is_ordered:
        return slots[: len(plan.place)]
    return slots.index_select(0, plan.place)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
