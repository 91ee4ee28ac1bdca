"""How a model is trained on the devices at hand: recomputed, compiled, side by side, spread.

The order is torchtitan's: activation checkpointing, then compilation, then DDP or FSDP2.
"""

from typing import Any, Protocol, final

import torch
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint

from modernbert.base import dist
from modernbert.model.heads import MaskedLMHead
from modernbert.model.model import Model
from modernbert.tasks.base import Loss, Task

_SHARED_BYTES = 256 * 2**20
"""Most bytes that the gradients of all shares may take together."""


class Ranks(Protocol):
    """A model among ranks."""

    def loss(self, task: Task[Any, Any], batch: Any, *, is_last: bool) -> Loss:
        """Run a batch; after the backward pass of a step's last one, gradients are summed."""


@final
class Alone:
    """A model that no other rank trains."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def loss(self, task: Task[Any, Any], batch: Any, *, is_last: bool) -> Loss:  # noqa: ARG002
        """Run a batch."""
        return task.loss(self._model, batch)


@final
class Replicated:
    """A model that every rank holds whole (DDP): gradients are summed while they are computed."""

    def __init__(self, model: Model) -> None:
        self._model = model
        # Where it looks for unused parameters, DDP does not lay gradients out anew after its first
        # step, and sums them in the same order before and after a resume.
        self._shared = nn.parallel.DistributedDataParallel(
            _Lossy(model), gradient_as_bucket_view=True, find_unused_parameters=True
        )
        # Losses are divided by the global count, so gradients are summed and not averaged.
        self._shared.register_comm_hook(None, _summed)

    def loss(self, task: Task[Any, Any], batch: Any, *, is_last: bool) -> Loss:
        """Run a batch; only a forward pass through DDP is followed by a sum over ranks."""
        found: Loss = self._shared(task, batch) if is_last else task.loss(self._model, batch)
        return found


@final
class Sharded:
    """A model whose weights, gradients and moments are divided among ranks (FSDP2)."""

    def __init__(self, model: Model, device: torch.device) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(device.type, (dist.world_size(),))
        parts: list[Any] = [*model.encoder.layers, model]
        for part in parts:
            fully_shard(part, mesh=mesh)
            part.set_gradient_divide_factor(1.0)
            # Sums alone: gloo knows no other way to combine.
            part.set_force_sum_reduction_for_comms(True)
        register_fsdp_forward_method(model, "masked_lm")
        self._model: Any = model

    def loss(self, task: Task[Any, Any], batch: Any, *, is_last: bool) -> Loss:
        """Run a batch; gradients stay whole until the step's last one."""
        self._model.set_requires_gradient_sync(is_last)
        return task.loss(self._model, batch)


class _Lossy(nn.Module):
    """A model called for its loss, since DDP watches nothing but `forward`."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        # Looked for and found: else DDP warns that the search is in vain.
        self.unused = nn.Parameter(torch.zeros(1, device=model.device))

    def forward(self, task: Task[Any, Any], batch: Any) -> Loss:
        return task.loss(self.model, batch)


def _summed(_: object, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
    work = distributed.all_reduce(bucket.buffer(), async_op=True)
    future: torch.futures.Future[Tensor] = work.get_future().then(lambda done: done.value()[0])
    return future


def put_together(model: Model) -> None:
    """Let FSDP2 hold whole what is of no layer, for a pass that does not begin at the model."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.unshard()


def divide_again(model: Model) -> None:
    """Let go of what FSDP2 put together for a forward pass that no backward pass followed.

    Else parameters are not those that the optimizer knows.
    """
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.reshard()


def prepare(model: Model, *, checkpoint_activations: bool, compile_layers: bool) -> None:
    """Apply activation checkpointing and compilation to every layer of an encoder.

    Parameter names stay as they are, so checkpoints do not depend on these settings.
    """
    for layer in model.encoder.layers:
        if checkpoint_activations:
            _recompute(layer)
        if compile_layers:
            layer.compile(dynamic=True)


def spread(model: Model, kind: str, device: torch.device) -> Ranks:
    """Put a model among the ranks that train together: "ddp" or "fsdp"; alone it stays as it is.

    With "fsdp" its parameters are replaced: an optimizer is made after this.
    """
    if dist.world_size() == 1:
        return Alone(model)
    return Sharded(model, device) if kind == "fsdp" else Replicated(model)


def shares(model: Model, device: torch.device, *, is_compiled: bool) -> int:
    """Return how many micro-batches of a step are computed at once: one a thread of a CPU.

    Each has gradients of its own, so wide models have fewer, and their larger products divide
    well among threads by themselves. Dropout's order of numbers wants one after the other.
    """
    drops = any(module.p > 0 for module in model.modules() if isinstance(module, nn.Dropout))
    if device.type != "cpu" or dist.world_size() > 1 or is_compiled or drops:
        return 1
    embeddings = (it for it in model.modules() if isinstance(it, nn.Embedding) and it.sparse)
    few_rows = {it.weight for it in embeddings}
    size = sum(weight.numel() * 4 for weight in trained(model) if weight not in few_rows)
    return max(1, min(torch.get_num_threads(), _SHARED_BYTES // size))


def name_rows(model: Model, device: torch.device) -> None:
    """Let the embedding's gradient hold only the rows of tokens that were read, on a CPU.

    A step on short texts reads a few hundred of fifty thousand rows, and filling, adding and
    measuring all of them is a third of its time in a small model. A decoder needs every row.
    """
    is_alone = device.type == "cpu" and dist.world_size() == 1
    has_decoder = isinstance(model.head, MaskedLMHead)
    model.encoder.embeddings.tok_embeddings.sparse = is_alone and not has_decoder


def trained(model: nn.Module) -> list[Tensor]:
    """Return the weights that move."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def _recompute(layer: nn.Module) -> None:
    forward = layer.forward

    def recomputed(*args: object) -> object:
        if not torch.is_grad_enabled():
            return forward(*args)
        return checkpoint(forward, *args, use_reentrant=False)

    layer.forward = recomputed
