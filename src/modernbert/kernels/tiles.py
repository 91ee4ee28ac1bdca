"""Steps that treat each token alone: the whole axis in, the same out, with less held meanwhile."""

from collections.abc import Callable

import torch
from torch import Tensor

from modernbert.base.shapes import Float

_TILE = 1024
"""Tokens of a tile: enough that matrix products lose nothing by it."""


def by_tiles(step: Callable[[Tensor], Tensor], x: Float[Tensor, "T D"]) -> Float[Tensor, "T E"]:
    """Apply a step to some tokens after the others on a CPU, where no gradient needs them all.

    What is wide inside the step is then as long as a tile, and its memory is used again: at 8192
    tokens the widened vectors of the MLP would be the largest of all.
    """
    is_whole = len(x) <= _TILE or x.device.type != "cpu" or torch.is_grad_enabled()
    if is_whole or torch.compiler.is_compiling():
        return step(x)
    out: Tensor | None = None
    for start in range(0, len(x), _TILE):
        found = step(x[start : start + _TILE])
        out = found.new_empty(len(x), found.shape[-1]) if out is None else out
        out[start : start + _TILE] = found
    assert out is not None
    return out
