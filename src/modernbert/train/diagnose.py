"""A step whose numbers are not finite in, the sentence that says where it went wrong out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from modernbert.base import dist
from modernbert.base.device import Autocast
from modernbert.base.errors import TrainingError
from modernbert.base.rng import key
from modernbert.data.stream import Stream
from modernbert.model.model import Model
from modernbert.train.feed import Work

_NAMED = 8


def not_finite(
    model: Model, work: Work, stream: Stream, autocast: Autocast, seed: int
) -> TrainingError:
    """Run the step's rows again, watching every module, and say what was met first.

    The weights have not moved, so the run can be continued from its last checkpoint.
    """
    torch.manual_seed(key(seed, "dropout", work.step, dist.rank()) >> 1)
    guilty, where = 0, None
    for index, batch in enumerate(work.batches):
        with torch.no_grad(), autocast(), _watched(model) as met:
            loss = work.task.loss(model, batch.to(autocast.device))
        if met or not torch.isfinite(loss.total):
            guilty, where = index, f"the output of {met[0] if met else 'the loss'}"
            break
    samples = work.rows[guilty].samples.tolist()
    documents = [stream.name_of(sample) for sample in samples[:_NAMED]]
    more = f" and {len(samples) - _NAMED} more" if len(samples) > _NAMED else ""
    return TrainingError(
        f"step {work.step}: NaN or Inf in {where or _first_gradient(model)}, row {guilty} of "
        f"{len(work.batches)}, documents: {'; '.join(documents)}{more}. The weights were not "
        "moved: lower peak_lr and start from the last checkpoint, or look at these documents"
    )


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[str]]:
    met: list[str] = []

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def look(*seen: object) -> None:
            output = seen[2]
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                met.append(name)

        return module.register_forward_hook(look)

    handles = [watch(name, module) for name, module in model.named_modules() if name]
    try:
        yield met
    finally:
        for handle in handles:
            handle.remove()


def _first_gradient(model: nn.Module) -> str:
    for name, weight in model.named_parameters():
        if weight.grad is not None and not torch.isfinite(weight.grad).all():
            return f"the gradient of {name}"
    return "the sum of the gradients"
