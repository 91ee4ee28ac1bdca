"""Muon: a matrix's momentum in, the step along its nearest orthogonal matrix out.

Own code beside `torch.optim.Muon`, which knows neither the matrices inside a weight nor weights
that ranks hold parts of, and measures decay against the rate (tests/parity/test_muon.py holds one
to the other).
"""

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from modernbert.base import dist

NAME = "momentum"
"""Of the one thing that is remembered of a weight."""
_MOMENTUM = 0.95
"""Keller Jordan's, as are the polynomial and its five steps (kellerjordan.github.io/posts/muon)."""
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_STEPS = 5
_EPS = 1e-7
_RMS = 0.2
"""Of a step by its rate: that of AdamW's steps, so that one rate serves both (arXiv 2502.16982,
section 2.2)."""


def move(
    weights: Sequence[Tensor], state: MutableMapping[Tensor, Any], group: MutableMapping[str, Any]
) -> None:
    """Move weights that each hold `group["pieces"]` matrices, one below the other.

    Decay is StableAdamW's: it follows the schedule, not the size of the rate. Where ranks hold
    parts of a weight, every rank puts the whole momentum together and takes its rows of the step.
    """
    for weight in weights:
        kept = state[weight]
        if not kept:
            kept[NAME] = torch.zeros_like(weight)
        assert weight.grad is not None
        grad, momentum, part = map(dist.part_of, (weight.grad, kept[NAME], weight))
        momentum.lerp_(grad, 1.0 - _MOMENTUM)
        whole = dist.whole_like(weight, grad.lerp(momentum, _MOMENTUM))
        update = dist.rows_like(weight, step_of(whole, group["pieces"]))
        part.mul_(1.0 - group["lr"] / group["peak_lr"] * group["weight_decay"])
        part.sub_(update, alpha=group["lr"])


def step_of(momentum: Tensor, pieces: int) -> Tensor:
    """Return the step at a rate of 1, each of the matrices orthogonal by itself."""
    matrices = momentum.unflatten(0, (pieces, -1))
    scale = _RMS * math.sqrt(max(matrices.shape[1:]))
    return orthogonal(matrices).flatten(0, 1).to(momentum.dtype).mul(scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices with the same singular vectors, and singular values of about 1.

    Those that were not tiny beside the largest come to 0.7 to 1.2, which serves as well as 1. By
    Newton and Schulz's iteration: in bfloat16 on CUDA, where it is fast and enough, and in
    float32 at least elsewhere.
    """
    exact = torch.promote_types(matrices.dtype, torch.float32)
    x: Tensor = matrices.to(torch.bfloat16 if matrices.is_cuda else exact)
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp_min(_EPS)
    first, third, fifth = _POLYNOMIAL
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return x.mT if is_tall else x
