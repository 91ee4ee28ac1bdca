"""Checkpoints and what each weighs in, a model with the mean of their weights out.

ModernBERT-base is such a mean: its three best checkpoints of the decay and the last (paper,
section 2.2.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.model import folder as model_folder
from modernbert.model.config import EncoderConfig
from modernbert.model.model import Model
from modernbert.train import checkpoint
from modernbert.train.rows import EVALUATIONS, steps_in

Measure = Literal["loss", "masked_accuracy"]


@dataclass(frozen=True, slots=True)
class Part:
    """One model of a mean."""

    folder: Path
    weight: float = 1.0


def averaged(parts: Sequence[Part]) -> Model:
    """Return the first model with the weighted mean of all; sums are kept in float64.

    Memory holds three models at most.

    Raises:
        CheckpointError: a folder cannot be read, or holds a model of another shape.
        ConfigError: the weights do not add up to something.
    """
    total = sum(part.weight for part in parts)
    if not parts or not total or not all(map(_is_usable, parts)):
        raise ConfigError(
            f"the weights of a mean are {', '.join(f'{part.weight:g}' for part in parts)}: give "
            "finite numbers of at least 0, not all of them 0"
        )
    first = model_folder.read(parts[0].folder)
    sums = {name: torch.zeros_like(each, dtype=torch.float64) for name, each in _named(first)}
    for part in parts:
        model = model_folder.read(part.folder)
        found = dict(_named(model))
        shapes = [{name: each.shape for name, each in it.items()} for it in (sums, found)]
        if (
            _computed(model.config) != _computed(first.config)
            or shapes[0] != shapes[1]
            or model.head_config != first.head_config
        ):
            raise CheckpointError(
                f"{part.folder} holds a model of another shape than {parts[0].folder}: only "
                "checkpoints of one shape have a mean"
            )
        for name, each in sums.items():
            each.add_(found[name].double(), alpha=part.weight / total)
    with torch.no_grad():
        for name, weight in first.named_parameters():
            weight.copy_(sums[name])
    return first


def newest(run: Path, number: int) -> list[Path]:
    """Return a run's last checkpoints, oldest first.

    Raises:
        CheckpointError: it has fewer.
    """
    if not run.is_dir():
        raise CheckpointError(f"there is no run {run}: give its folder")
    found = checkpoint.found(run / "checkpoints")
    if len(found) < number:
        raise CheckpointError(
            f"{run} has {len(found)} checkpoints and not {number}: average fewer, or keep more "
            "with --keep-checkpoints or --keep-every-tokens"
        )
    return found[-number:]


def best(run: Path, number: int, by: Measure) -> list[Path]:
    """Return a run's checkpoints whose held-out text was read best, the best first.

    Raises:
        CheckpointError: fewer were both saved and measured.
    """
    measured = {
        row["step"]: row[by] for row in steps_in(run / EVALUATIONS) if row.get("source") == "all"
    }
    steps = {
        checkpoint.read_state(each).progress.step: each
        for each in checkpoint.found(run / "checkpoints")
    }
    there = sorted(measured.keys() & steps.keys(), key=lambda step: measured[step])
    if len(there) < number:
        raise CheckpointError(
            f"{run} has {len(there)} checkpoints that were also measured, and not {number}: "
            "average fewer, or save and evaluate at the same tokens"
        )
    order = there if by == "loss" else there[::-1]
    return [steps[step] for step in order[:number]]


def _computed(config: EncoderConfig) -> tuple[object, ...]:
    """Return what a mean must not mix, and shapes of tensors do not tell."""
    kinds = tuple(map(config.is_global, range(config.num_layers)))
    shape = (config.num_heads, config.activation, config.norm_eps, config.local_window)
    return (*shape, kinds, config.options)


def _named(model: Model) -> list[tuple[str, Tensor]]:
    return [(name, each.detach()) for name, each in model.named_parameters()]


def _is_usable(part: Part) -> bool:
    return 0 <= part.weight < float("inf")
