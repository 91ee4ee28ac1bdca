"""Changes made to a model from outside, in the one order that works: recompute, then compile."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from modernbert.model.model import Model


def prepare(model: Model, *, checkpoint_activations: bool, compile_layers: bool) -> None:
    """Apply activation checkpointing and compilation to every layer of an encoder.

    Parameter names stay as they are, so checkpoints do not depend on these settings.
    """
    for layer in model.encoder.layers:
        if checkpoint_activations:
            _recompute(layer)
        if compile_layers:
            layer.compile(dynamic=True)


def _recompute(layer: nn.Module) -> None:
    forward = layer.forward

    def recomputed(*args: object) -> object:
        if not torch.is_grad_enabled():
            return forward(*args)
        return checkpoint(forward, *args, use_reentrant=False)

    layer.forward = recomputed
