"""Who decays: matrices and embeddings do, one-dimensional tensors do not."""

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

_LAYER = re.compile(r"\.layers\.(\d+)\.")


def decay_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float
) -> list[dict[str, Any]]:
    """Sort named parameters into a group that decays and one that does not.

    Norm weights and biases are spared; the embedding table, which is also the decoder, decays
    (ModernBERT's `filter_bias_norm_wd`). Groups without a member are left out; `decays` tells them
    apart when a later phase brings another decay.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for _, parameter in parameters:
        (decayed if parameter.dim() > 1 else spared).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay, "decays": True, "lr_scale": 1.0},
        {"params": spared, "weight_decay": 0.0, "decays": False, "lr_scale": 1.0},
    ]
    return [group for group in groups if group["params"]]


def layered_groups(
    parameters: Iterable[tuple[str, nn.Parameter]],
    weight_decay: float,
    layer_decay: float,
    num_layers: int,
) -> list[dict[str, Any]]:
    """Sort as `decay_groups` does, and give lower layers smaller rates (arXiv 1801.06146).

    The rate of what follows the last layer is whole; each layer below has `layer_decay` of the one
    above it, and the embeddings come last. Parameters without gradients are left out.
    """
    by_depth: dict[int, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            by_depth.setdefault(depth_of(name, num_layers), []).append((name, parameter))
    found = []
    for depth, members in sorted(by_depth.items()):
        scale = layer_decay ** (num_layers + 1 - depth)
        found += [g | {"lr_scale": scale} for g in decay_groups(members, weight_decay)]
    return found


def depth_of(name: str, num_layers: int) -> int:
    """Return 0 for the embeddings, i + 1 for layer i, and the largest for what follows them."""
    if ".embeddings." in name:
        return 0
    layer = _LAYER.search(name)
    return int(layer[1]) + 1 if layer else num_layers + 1
