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


def matrix_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float
) -> list[dict[str, Any]]:
    """Sort as `decay_groups` does, and set apart the layers' matrices for Muon.

    Weights that hold as many matrices are a group: queries, keys and values are three, a gated
    MLP's input two, and each is orthogonal by itself. Embeddings, head and decoder are not among
    them (arXiv 2502.16982, section 2.1).
    """
    named = dict(parameters)
    pieces = {name: _pieces(name, named) for name in named}
    groups = decay_groups([(n, each) for n, each in named.items() if not pieces[n]], weight_decay)
    for number in sorted({*pieces.values()} - {0}):
        members = [(name, each) for name, each in named.items() if pieces[name] == number]
        groups += [each | {"pieces": number} for each in decay_groups(members, weight_decay)]
    return groups


def _pieces(name: str, named: dict[str, nn.Parameter]) -> int:
    """Return how many hidden matrices a weight holds, one below the other."""
    if named[name].dim() != 2 or not _LAYER.search(name):
        return 0
    if name.endswith(".attn.Wqkv.weight"):
        return 3
    if name.endswith(".mlp.Wi.weight"):
        return named[name].shape[0] // named[name.replace(".Wi.", ".Wo.")].shape[1]
    return 1


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
