"""One step's work in, moved weights and three numbers out."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from modernbert.base import dist
from modernbert.base.device import Autocast
from modernbert.base.rng import key
from modernbert.data.chunks import Rows
from modernbert.model.model import Model
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.tasks.base import Task


class Batched(Protocol):
    """What one step computes, whatever is learned."""

    @property
    def step(self) -> int:
        """Its number, part of the address of dropout."""

    @property
    def task(self) -> Task[Any, Any]:
        """What is learned."""

    @property
    def batches(self) -> tuple[Any, ...]:
        """This rank's micro-batches, labelled by the task."""

    @property
    def rows(self) -> tuple[Rows, ...]:
        """What stands behind the batches: it names the documents when something is wrong."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step measured, over all ranks."""

    loss: float
    """Mean over all predictions; in nats where it is a cross-entropy."""
    accuracy: float
    """Share of the predictions that are right."""
    grad_norm: float

    @property
    def is_finite(self) -> bool:
        """Return whether the weights may be moved by it."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


def accumulate(model: Model, work: Batched, autocast: Autocast, seed: int) -> StepResult:
    """Run every row forward and backward; the gradients are of the mean over all predictions.

    The sum is divided by the global count before the backward pass, so neither the number of
    rows nor of ranks changes the gradient's scale (transformers#38982 shows the usual mistake).
    Dropout is addressed by step and rank.
    """
    device = autocast.device
    torch.manual_seed(key(seed, "dropout", work.step, dist.rank()) >> 1)
    counted = float(sum(work.task.count(batch) for batch in work.batches))
    (count,) = dist.total([counted], device)
    sums = []
    for batch in work.batches:
        with autocast():
            loss = work.task.loss(model, batch.to(device))
        (loss.total / max(count, 1.0)).backward()
        sums += [loss.total.detach(), loss.num_correct]
    norm = gradient_norm(model)
    # One transfer, and float64 only after it: not every device has it.
    together = torch.stack([*(each.to(norm.dtype) for each in sums), norm])
    *parts, norm_value = together.cpu().double().tolist()
    total, correct = dist.total([sum(parts[::2]), sum(parts[1::2])], device)
    return StepResult(total / max(count, 1.0), correct / max(count, 1.0), norm_value)


def gradient_norm(model: nn.Module) -> torch.Tensor:
    """Return the Euclidean norm over all gradients, without waiting for the device."""
    grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
    return norm


def move(optimizer: StableAdamW, lr: float) -> None:
    """Move the weights along their gradients, and forget the gradients."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
