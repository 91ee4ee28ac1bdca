"""StableAdamW: AdamW whose step is shortened where its own estimate is out of date."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor


class StableAdamW(torch.optim.Optimizer):
    """AdamW with per-tensor update clipping and fully decoupled decay (arXiv 2304.13013).

    The rate of each tensor is divided by max(1, RMS(g / sqrt(v))), which replaces clipping of
    the gradient's norm. Decay multiplies a weight by 1 - rate / peak_lr * weight_decay: it
    follows the schedule but not the size of the rate (ModernBERT paper, appendix A). Bias
    correction is folded into the betas. Nothing waits for the device.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        """Take parameters or groups; `lr` is the peak rate that decay is measured against.

        A schedule changes a group's `lr`; its `peak_lr` stays, and is set anew by whoever starts
        a phase with another peak.
        """
        assert lr > 0
        defaults = {"lr": lr, "peak_lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, {**defaults, "weight_decay": weight_decay, "step": 0})

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
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = (_debiased(beta, group["step"]) for beta in group["betas"])
        mean.lerp_(grad, 1.0 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
        ratio = grad.square().div_(square.clamp_min(group["eps"] ** 2))
        # A zero-dimensional tensor, not a number: reading it would stop and wait for a GPU.
        shrink = ratio.mean().sqrt_().clamp_min_(1.0).reciprocal_()
        if group["weight_decay"]:
            decay = group["lr"] / group["peak_lr"] * group["weight_decay"]
            weight.mul_(1.0 - shrink * decay)
        update = torch.div(mean, torch.sqrt(square, out=ratio).add_(group["eps"]), out=ratio)
        weight.sub_(update.mul_(shrink * group["lr"]))


def _debiased(beta: float, step: int) -> float:
    """Return the beta whose plain average equals the bias-corrected one at this step."""
    return beta * (1.0 - beta ** (step - 1)) / (1.0 - beta**step)
