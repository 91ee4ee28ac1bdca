"""A step whose numbers are not finite in, the sentence that says where it went wrong out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from modernbert.base import dist
from modernbert.base.device import Autocast
from modernbert.base.errors import TrainingError
from modernbert.model.model import Model
from modernbert.train.step import Batched, gradients, is_sharded, seed_dropout

_NAMED = 8


def not_finite(
    model: Model, work: Batched, name_of: Callable[[int], str], autocast: Autocast, seed: int
) -> TrainingError:
    """Run the step's rows again, watching every module, and say what was met first.

    The weights have not moved, so the run can be continued from its last checkpoint.
    """
    met = None
    if not is_sharded(model):  # else a pass is a meeting of all ranks
        met = _first_output(model, work, autocast, seed)
        met = met or _first_gradient(model, work, autocast, seed)
    has_met = [bool(each[0]) for each in dist.gathered([float(met is not None)], autocast.device)]
    guilty, where = met or (None, "the sum of the rows' gradients")
    rows = work.rows if guilty is None else [work.rows[guilty]]
    place = "" if guilty is None else f", row {guilty + 1} of {len(work.rows)}"
    # Documents of one example share its sample.
    samples = list(dict.fromkeys(sample for row in rows for sample in row.samples.tolist()))
    documents = [name_of(sample) for sample in samples[:_NAMED]]
    more = f" and {len(samples) - _NAMED} more" if len(samples) > _NAMED else ""
    dist.go_on_as(has_met.index(True) if any(has_met) else 0)
    return TrainingError(
        f"step {work.step}: NaN or Inf in {where}{place}, documents: {'; '.join(documents)}{more}. "
        "The weights were not moved: start a new run with a lower peak_lr, or look at these "
        "documents"
    )


def _first_output(
    model: Model, work: Batched, autocast: Autocast, seed: int
) -> tuple[int, str] | None:
    for index, batch in enumerate(work.batches):
        seed_dropout(seed, work.step, index)
        with torch.no_grad(), autocast(), _watched(model) as met:
            loss = work.task.loss(model, batch.to(autocast.device))
        if met or not torch.isfinite(loss.total):
            return index, f"the output of {met[0]}" if met else "the loss"
    return None


def _first_gradient(
    model: Model, work: Batched, autocast: Autocast, seed: int
) -> tuple[int, str] | None:
    """Name the weight nearest the loss: from there a gradient spoils all that are below."""
    for index, batch in enumerate(work.batches):
        seed_dropout(seed, work.step, index)
        model.zero_grad(set_to_none=True)
        with autocast():
            loss = work.task.loss(model, batch.to(autocast.device))
        loss.total.backward()
        grads = gradients(model).items()
        spoiled = [name for name, grad in grads if not torch.isfinite(grad).all()]
        if spoiled:
            return index, f"the gradient of {spoiled[-1]}"
    return None


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
