"""StableAdamW: AdamW whose step is shortened where its own estimate is out of date."""

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, distributed
from torch.optim.adamw import adamw

from modernbert.base import dist
from modernbert.optim import muon

_FUSIBLE = (torch.float32, torch.float64)
_ENDLESS = 1e9
"""Steps after which no beta is debiased any more."""


class StableAdamW(torch.optim.Optimizer):
    """AdamW with per-tensor update clipping and fully decoupled decay (arXiv 2304.13013).

    The rate of each tensor is divided by max(1, RMS(g / sqrt(v))), which replaces clipping of
    the gradient's norm. Decay multiplies a weight by 1 - rate / peak_lr * weight_decay: it
    follows the schedule but not the size of the rate (ModernBERT paper, appendix A). Bias
    correction is folded into the betas. Nothing waits for the device. Where ranks hold parts of
    a tensor, its RMS is over all of them: one sum over ranks a group and step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        clips_updates: bool = True,
    ) -> None:
        """Take parameters or groups; `lr` is the peak rate that decay is measured against.

        Without `clips_updates` it is AdamW, its decay as above (arXiv 1711.05101). Groups that say
        how many `pieces` their weights have are moved by Muon instead.

        A schedule changes a group's `lr`; its `peak_lr` stays, and is set anew by whoever starts
        a phase with another peak.
        """
        assert lr > 0
        defaults = {"lr": lr, "peak_lr": lr, "betas": betas, "eps": eps}
        more = {"weight_decay": weight_decay, "clips": clips_updates, "step": 0, "pieces": 0}
        super().__init__(params, {**defaults, **more})
        # Gradients that name rows are spread over these; between steps they are all 0.
        self._zeros: dict[Tensor, Tensor] = {}

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["step"] += 1
            moved = [weight for weight in group["params"] if weight.grad is not None]
            if group["pieces"]:
                muon.move(moved, self.state, group)
            elif moved and dist.is_part(moved[0]):
                self._move_parts(moved, group)
            else:
                for weight in moved:
                    self._move(weight, weight.grad, group)
        return loss

    def _moments(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        state = self.state[weight]
        if not state:
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        return state["exp_avg"], state["exp_avg_sq"]

    def _move_parts(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Move this rank's parts of tensors that are divided among ranks."""
        parts, sums = [], []
        for weight in weights:
            moments = self._moments(weight)
            mean, square = dist.part_of(moments[0]), dist.part_of(moments[1])
            assert weight.grad is not None
            sums.append(_averaged(dist.part_of(weight.grad), mean, square, group).sum())
            parts.append((dist.part_of(weight), (mean, square)))
        shared = torch.stack(sums)
        distributed.all_reduce(shared)
        sizes = torch.tensor([weight.numel() for weight in weights]).to(shared)
        for (part, moments), mean_ratio in zip(parts, shared / sizes, strict=True):
            _apply(part, moments, _shortening(mean_ratio, group), group)

    def _move(self, weight: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        moments = self._moments(weight)
        grad = grad.coalesce() if grad.is_sparse else grad
        if not _is_fusible(weight, grad):
            _move_plainly(weight, grad.to_dense() if grad.is_sparse else grad, moments, group)
        elif grad.is_sparse:
            rows, values = grad.indices()[0], grad.values()
            shrink = _shrink(values, moments[1].index_select(0, rows), weight.numel(), group)
            if weight not in self._zeros:
                self._zeros[weight] = torch.zeros_like(weight)
            dense = self._zeros[weight].index_copy_(0, rows, values)
            _move_fused((weight, dense, *moments), shrink, group)
            dense.index_fill_(0, rows, 0.0)
        else:
            shrink = _shrink(grad, moments[1], weight.numel(), group)
            _move_fused((weight, grad, *moments), shrink, group)


def remembered(group: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of what is remembered of each weight of a group."""
    return (muon.NAME,) if group["pieces"] else ("exp_avg", "exp_avg_sq")


def _move_plainly(
    weight: Tensor, grad: Tensor, moments: tuple[Tensor, Tensor], group: dict[str, Any]
) -> None:
    """Move anywhere, one operation after the other."""
    ratio = _averaged(grad, *moments, group)
    _apply(weight, moments, _shortening(ratio.mean(), group), group)


def _averaged(grad: Tensor, mean: Tensor, square: Tensor, group: dict[str, Any]) -> Tensor:
    """Let the moments take in a gradient; return its square by what was expected of it."""
    beta1, beta2 = _betas(group)
    mean.lerp_(grad, 1.0 - beta1)
    square.mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
    return grad.square().div_(square.clamp_min(group["eps"] ** 2))


def _shortening(mean_ratio: Tensor, group: dict[str, Any]) -> Tensor:
    # A zero-dimensional tensor, not a number: reading it would stop and wait for a GPU.
    if not group["clips"]:
        return torch.ones_like(mean_ratio)
    return mean_ratio.sqrt().clamp_min_(1.0).reciprocal_()


def _apply(
    weight: Tensor, moments: tuple[Tensor, Tensor], shrink: Tensor, group: dict[str, Any]
) -> None:
    mean, square = moments
    if group["weight_decay"]:
        decay = group["lr"] / group["peak_lr"] * group["weight_decay"]
        weight.mul_(1.0 - shrink * decay)
    update = torch.div(mean, square.sqrt().add_(group["eps"]))
    weight.sub_(update.mul_(shrink * group["lr"]))


def _is_fusible(weight: Tensor, grad: Tensor) -> bool:
    """Return whether torch has a kernel on a CPU that reads and writes all in one pass."""
    numbers = grad.values() if grad.is_sparse else grad
    is_plain = weight.is_contiguous() and numbers.is_contiguous() and grad.dtype == weight.dtype
    return weight.device.type == "cpu" and weight.dtype in _FUSIBLE and is_plain


def _shrink(grad: Tensor, square: Tensor, count: int, group: dict[str, Any]) -> float:
    """Return by what the rate is shortened; numbers of `count` that are not given are 0."""
    if not group["clips"]:
        return 1.0
    beta2 = _betas(group)[1]
    scaled = torch.mul(square, beta2).addcmul_(grad, grad, value=1.0 - beta2)
    torch.div(grad, scaled.clamp_min_(group["eps"] ** 2), out=scaled)
    rms = math.sqrt(float(torch.dot(scaled.view(-1), grad.view(-1))) / count)
    return 1.0 / max(1.0, rms)


def _move_fused(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor], shrink: float, group: dict[str, Any]
) -> None:
    """Move by torch's AdamW, whose own debiasing is over: its count of steps is endless."""
    weight, grad, mean, square = tensors
    beta1, beta2 = _betas(group)
    adamw(
        [weight],
        [grad],
        [mean],
        [square],
        max_exp_avg_sqs=[],
        state_steps=[torch.tensor(_ENDLESS)],
        fused=True,
        amsgrad=False,
        beta1=beta1,
        beta2=beta2,
        lr=group["lr"] * shrink,
        weight_decay=group["weight_decay"] / group["peak_lr"],
        eps=group["eps"],
        maximize=False,
    )


def _betas(group: dict[str, Any]) -> tuple[float, float]:
    """Return the betas whose plain averages equal the bias-corrected ones at this step."""
    step, (beta1, beta2) = group["step"], group["betas"]
    return _debiased(beta1, step), _debiased(beta2, step)


def _debiased(beta: float, step: int) -> float:
    return beta * (1.0 - beta ** (step - 1)) / (1.0 - beta**step)
