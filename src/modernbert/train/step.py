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
from modernbert.train.parallel import Alone, Ranks, trained

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
    model: Model,
    work: Batched,
    autocast: Autocast,
    seed: int,
    shares: int = 1,
    ranks: Ranks | None = None,
) -> StepResult:
    """Run every row forward and backward; the gradients are of the mean over all predictions.

    The sum is divided by the global count before the backward pass, so neither the number of
    rows nor of ranks changes the gradient's scale (transformers#38982 shows the usual mistake).
    Dropout is addressed by step and row, so it does not depend on ranks either. On a CPU up to
    `shares` micro-batches are computed at once, and their gradients added in the order of the
    micro-batches: the same numbers each time.
    """
    device, batches = autocast.device, work.batches
    counted = float(sum(work.task.count(batch) for batch in batches))
    counts = dist.gathered([counted, float(len(batches))], device)
    count = max(sum(each[0] for each in counts), 1.0)
    passes = int(max(each[1] for each in counts))
    part = _Part(work, autocast, ranks or Alone(model), count, seed, passes)
    sums = []
    for first in range(0, len(batches), shares):
        some = range(first, min(first + shares, len(batches)))
        sums += part.of_one(first) if len(some) == 1 else part.of_some(model, some)
    for index in range(len(batches), passes):
        part.of_none(index)
    norm = gradient_norm(model)
    # One transfer, and float64 only after it: not every device has it.
    together = torch.stack([*(each.to(norm.dtype) for each in sums), norm])
    *parts, norm_value = together.cpu().double().tolist()
    sharing = [sum(parts[::2]), sum(parts[1::2]), norm_value**2]
    total, correct, squares = dist.total(sharing, device)
    if is_sharded(model):
        norm_value = math.sqrt(squares)
    return StepResult(total / count, correct / count, norm_value)


def seed_dropout(seed: int, step: int, row: int) -> None:
    """Let a row's dropout follow from where it stands, whoever computes it: `row` of this rank."""
    torch.manual_seed(key(seed, "dropout", step, row * dist.world_size() + dist.rank()) >> 1)


@dataclass(frozen=True, slots=True)
class _Part:
    """What micro-batches add to a step's gradients and sums."""

    work: Batched
    autocast: Autocast
    ranks: Ranks
    count: float
    """Predictions of the whole step."""
    seed: int
    num_passes: int
    """Rows of the rank that has most: gradients are summed after the last."""

    def of_one(self, index: int) -> list[Tensor]:
        """Add to the gradients; return the sum of the losses and the number that are right."""
        loss = self._loss(index)
        (loss.total / self.count).backward()
        return [loss.total.detach(), loss.num_correct]

    def of_none(self, index: int) -> None:
        """Pass where this rank has no row left and another has one: both must meet in the sums."""
        (self._loss(index).total * 0.0).backward()

    def of_some(self, model: Model, indices: Sequence[int]) -> list[Tensor]:
        """Do it for some at once, each on a share of the threads."""
        weights = trained(model)
        sums: list[Tensor] = []
        for grads, found in side_by_side(partial(self._apart, weights), indices):
            sums += found
            for weight, grad in zip(weights, grads, strict=True):
                if grad is not None:
                    weight.grad = grad if weight.grad is None else weight.grad.add_(grad)
        return sums

    def _apart(self, weights: list[Tensor], index: int) -> tuple[Grads, list[Tensor]]:
        with torch.enable_grad():
            loss = self._loss(index)
            grads = torch.autograd.grad(loss.total / self.count, weights, allow_unused=True)
        return grads, [loss.total.detach(), loss.num_correct]

    def _loss(self, index: int) -> Loss:
        """Run a row, the last one again where there are no more."""
        work, is_last = self.work, index == self.num_passes - 1
        batch = work.batches[min(index, len(work.batches) - 1)]
        seed_dropout(self.seed, work.step, index)
        with self.autocast():
            return self.ranks.loss(work.task, batch.to(self.autocast.device), is_last=is_last)


def is_sharded(model: nn.Module) -> bool:
    """Return whether ranks hold parts of the weights."""
    return any(dist.is_part(weight) for weight in model.parameters())


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the numbers of all gradients by the weights' names.

    Of a gradient that names rows, these are the rows; what it says of the same row is added. Of
    one that is divided among ranks it is this rank's part.
    """
    found = {}
    for name, weight in model.named_parameters():
        if weight.grad is not None and weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()
            found[name] = weight.grad.values()
        elif weight.grad is not None:
            found[name] = dist.part_of(weight.grad)
    return found


def gradient_norm(model: nn.Module) -> Tensor:
    """Return the Euclidean norm over all gradients of this rank, without waiting for the device."""
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
