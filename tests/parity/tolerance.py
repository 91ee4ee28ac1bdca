"""How close is close enough: measured, not chosen."""

from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
ALONE = 5.0
"""Slack of a tensor by itself."""


def distance(x: Tensor, truth: Tensor) -> float:
    return (x.detach().double() - truth.detach()).norm().item()


def assert_as_accurate(ours: Tensor, naive: Tensor, truth: Tensor, slack: float = 2.0) -> None:
    """Fail if `ours` is further from the float64 `truth` than `slack` times what `naive` is.

    `naive` is the plain computation in the dtype of `ours`: its error is what the dtype costs.
    """
    assert ours.shape == truth.shape
    error, allowed = distance(ours, truth), slack * distance(naive, truth)
    # A naive result can be exact by luck; float64's own rounding is then the floor.
    floor = 1e-14 * truth.detach().norm().item()
    assert error <= allowed + floor, f"error {error:.3e}, allowed {allowed:.3e}"


def assert_all_as_accurate(
    ours: Tensors, naive: Tensors, truth: Tensors, slack: float = 1.5
) -> None:
    """Fail if tensors of the same names are together further from the truth than allowed.

    Each counts in units of its own size. One alone, of few numbers, is exact or not by luck of the
    processor's order of sums: it may be further off than together, and its own naive error counts
    as no less than the usual one.
    """
    assert ours.keys() == truth.keys()
    sizes = {name: right.detach().norm().item() for name, right in truth.items()}
    errors = {name: distance(naive[name], right) for name, right in truth.items()}
    usual = median(errors[name] / size if size else 0.0 for name, size in sizes.items())
    for name, right in truth.items():
        error, allowed = distance(ours[name], right), ALONE * max(errors[name], usual * sizes[name])
        assert error <= allowed + 1e-14 * sizes[name], f"{name}: {error:.3e}, allowed {allowed:.3e}"
    assert_as_accurate(*(_joined(each, truth) for each in (ours, naive, truth)), slack=slack)


def _joined(found: Tensors, truth: Tensors) -> Tensor:
    units = {name: x.detach().double().norm().clamp(min=1e-30) for name, x in truth.items()}
    parts = [found[name].detach().double().flatten() / unit for name, unit in units.items()]
    return torch.cat(parts)
