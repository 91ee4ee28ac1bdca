"""One step's work in, moved weights and three numbers out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from modernbert.base import dist
from modernbert.base.device import Autocast
from modernbert.base.rng import key
from modernbert.base.threads import side_by_side
from modernbert.data.chunks import Rows
from modernbert.model.model import Model
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.tasks.base import Loss, Task
from modernbert.train.parallel import trained

Grads = tuple[Tensor | None, ...]


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


def accumulate(
    model: Model, work: Batched, autocast: Autocast, seed: int, shares: int = 1
) -> StepResult:
    """Run every row forward and backward; the gradients are of the mean over all predictions.

    The sum is divided by the global count before the backward pass, so neither the number of
    rows nor of ranks changes the gradient's scale (transformers#38982 shows the usual mistake).
    Dropout is addressed by step and rank. On a CPU up to `shares` micro-batches are computed at
    once, and their gradients added in the order of the micro-batches: the same numbers each time.
    """
    device = autocast.device
    torch.manual_seed(key(seed, "dropout", work.step, dist.rank()) >> 1)
    counted = float(sum(work.task.count(batch) for batch in work.batches))
    (count,) = dist.total([counted], device)
    part = _Part(model, work.task, autocast, max(count, 1.0))
    sums = []
    for first in range(0, len(work.batches), shares):
        some = work.batches[first : first + shares]
        sums += part.of_one(*some) if len(some) == 1 else part.of_some(some)
    norm = gradient_norm(model)
    # One transfer, and float64 only after it: not every device has it.
    together = torch.stack([*(each.to(norm.dtype) for each in sums), norm])
    *parts, norm_value = together.cpu().double().tolist()
    total, correct = dist.total([sum(parts[::2]), sum(parts[1::2])], device)
    return StepResult(total / max(count, 1.0), correct / max(count, 1.0), norm_value)


@dataclass(frozen=True, slots=True)
class _Part:
    """What micro-batches add to a step's gradients and sums."""

    model: Model
    task: Task[Any, Any]
    autocast: Autocast
    count: float
    """Predictions of the whole step."""

    def of_one(self, batch: Any) -> list[Tensor]:
        """Add to the gradients; return the sum of the losses and the number that are right."""
        loss = self._loss(batch)
        (loss.total / self.count).backward()
        return [loss.total.detach(), loss.num_correct]

    def of_some(self, batches: Sequence[Any]) -> list[Tensor]:
        """Do it for some at once, each on a share of the threads."""
        weights = trained(self.model)
        sums: list[Tensor] = []
        for grads, found in side_by_side(partial(self._apart, weights), batches):
            sums += found
            for weight, grad in zip(weights, grads, strict=True):
                if grad is not None:
                    weight.grad = grad if weight.grad is None else weight.grad.add_(grad)
        return sums

    def _apart(self, weights: list[Tensor], batch: Any) -> tuple[Grads, list[Tensor]]:
        with torch.enable_grad():
            loss = self._loss(batch)
            grads = torch.autograd.grad(loss.total / self.count, weights, allow_unused=True)
        return grads, [loss.total.detach(), loss.num_correct]

    def _loss(self, batch: Any) -> Loss:
        with self.autocast():
            return self.task.loss(self.model, batch.to(self.autocast.device))


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the numbers of all gradients by the weights' names.

    Of a gradient that names rows, these are the rows; what it says of the same row is added.
    """
    found = {}
    for name, weight in model.named_parameters():
        if weight.grad is not None and weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()
            found[name] = weight.grad.values()
        elif weight.grad is not None:
            found[name] = weight.grad
    return found


def gradient_norm(model: nn.Module) -> Tensor:
    """Return the Euclidean norm over all gradients, without waiting for the device."""
    norms = torch._foreach_norm(list(gradients(model).values()))
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def shorten(model: nn.Module, norm: float, longest: float) -> None:
    """Scale all gradients so that their common norm is `longest` at most; 0 leaves them."""
    if 0 < longest < norm:
        torch._foreach_mul_(list(gradients(model).values()), longest / norm)


def move(optimizer: StableAdamW, lr: float) -> None:
    """Move the weights along their gradients, and forget the gradients."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
