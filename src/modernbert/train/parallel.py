"""How a model is trained on the device at hand: layers recomputed, compiled, or side by side."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from modernbert.base import dist
from modernbert.model.heads import MaskedLMHead
from modernbert.model.model import Model

_SHARED_BYTES = 256 * 2**20
"""Most bytes that the gradients of all shares may take together."""


def prepare(model: Model, *, checkpoint_activations: bool, compile_layers: bool) -> None:
    """Apply activation checkpointing and compilation to every layer of an encoder.

    Parameter names stay as they are, so checkpoints do not depend on these settings.
    """
    for layer in model.encoder.layers:
        if checkpoint_activations:
            _recompute(layer)
        if compile_layers:
            layer.compile(dynamic=True)


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
