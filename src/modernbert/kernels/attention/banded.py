"""Attention on a CPU: one fused call for all bands, one for each long document seen whole."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from modernbert.batch import Layout
from modernbert.kernels.attention.plan import Band, Plan, Whole, plan_for

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

Grads = tuple[Tensor, Tensor, Tensor]


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
    plan = plan_for(layout.lengths(), window, exact)
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
        return stretch.stop - stretch.start
    return stretch.num_blocks * stretch.block


def _mix(stretch: Whole | Band, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(stretch, Whole):
        mixed, logsumexp = _forward(*(_document(x, stretch) for x in (q, k, v)))
        return mixed.transpose(1, 2)[0], logsumexp
    queries, keys, values = _queries(q, stretch), _keys(k, stretch), _keys(v, stretch)
    mixed, logsumexp = _forward(queries, keys, values, attn_mask=stretch.mask)
    return mixed.transpose(1, 2).flatten(0, 1), logsumexp


def _unmix(stretch: Whole | Band, given: tuple[Tensor, ...], logsumexp: Tensor) -> Grads:
    grad, q, k, v, out = given
    if isinstance(stretch, Whole):
        grad, q, k, v = (_document(x, stretch) for x in (grad, q, k, v))
        out = out.transpose(0, 1)[None]
        grads = _backward(grad, q, k, v, out, logsumexp, 0.0, False)
        return tuple(x.transpose(1, 2)[0] for x in grads)
    grad, q, k, v = (
        _queries(grad, stretch),
        _queries(q, stretch),
        _keys(k, stretch),
        _keys(v, stretch),
    )
    out = _blocks(out, stretch)
    grads = _backward(grad, q, k, v, out, logsumexp, 0.0, False, attn_mask=stretch.mask)
    grad_q, grad_k, grad_v = (x.transpose(1, 2) for x in grads)
    return grad_q.flatten(0, 1), _overlapped(grad_k, stretch), _overlapped(grad_v, stretch)


def _document(x: Tensor, stretch: Whole) -> Tensor:
    return x[stretch.start : stretch.stop].transpose(0, 1)[None]  # 1 H L K


def _queries(x: Tensor, band: Band) -> Tensor:
    inside = band.source.narrow(0, band.reach, _num_slots(band))
    return _blocks(x.index_select(0, inside), band)


def _blocks(x: Tensor, band: Band) -> Tensor:
    return x.view(band.num_blocks, band.block, *x.shape[1:]).transpose(1, 2)  # N H block K


def _keys(x: Tensor, band: Band) -> Tensor:
    x = x.index_select(0, band.source)
    # Neighbouring blocks look at overlapping stretches of one tensor: no key is copied twice.
    by_token, by_head, by_unit = x.stride()
    shape = (band.num_blocks, x.shape[1], band.mask.shape[-1], x.shape[2])
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
