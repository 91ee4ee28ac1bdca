"""Who decays: matrices and embeddings do, one-dimensional tensors do not."""

from collections.abc import Iterable
from typing import Any

from torch import nn


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
        {"params": decayed, "weight_decay": weight_decay, "decays": True},
        {"params": spared, "weight_decay": 0.0, "decays": False},
    ]
    return [group for group in groups if group["params"]]
