"""Rows of `modernbert bench training` in, how much of a device's peak each phase reaches out."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.base.errors import ConfigError
from modernbert.model.config import EncoderConfig
from modernbert.model.count import parameters, training_flops
from modernbert.model.presets import PRESETS
from modernbert.train.config import Phase, RunConfig
from modernbert.train.plan_devices import Device
from modernbert.train.plan_speed import Efficiency

_MASK_RATE = 0.3
"""What rows without `token_flops` were measured with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A row, as far as a plan reads it."""

    preset: str
    context_length: int
    gpu: str | None
    precision: str
    flops_per_second: float
    side: str
    line: int


def efficiencies(
    path: Path, config: RunConfig, device: Device, precision: str, side: str
) -> tuple[Efficiency, ...]:
    """Return an efficiency for each phase, of the row whose shape and context come nearest.

    Of several rows alike the last is taken. What is not measured is the exchange of gradients.

    Raises:
        ConfigError: the file cannot be read, or has no such row of this device.
    """
    rows = read(path, side)
    same = [row for row in rows if device.is_called(row.gpu) and row.precision == precision]
    if not same:
        found = sorted({f"{row.gpu or 'cpu'} in {row.precision}" for row in rows})
        raise ConfigError(
            f"{path} has no training row of {device.title} in {precision} with the side {side!r} "
            f"(it has {', '.join(found) or 'none of that side'}): measure one with `modernbert "
            "bench training`, or leave --measured out"
        )
    return tuple(_nearest(path, same, config.model, phase, device) for phase in config.phases)


def read(path: Path, side: str) -> list[Measured]:
    """Read the training rows of a file that have a side.

    Raises:
        ConfigError: the file is not there, or a line is no row.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: give a file of rows such as benchmarks/training.jsonl"
        ) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows += _row(json.loads(line), side, number)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}, line {number} is no row of `modernbert bench training`: take it out"
            ) from error
    return rows


def _row(row: dict[str, Any], side: str, line: int) -> list[Measured]:
    if row["bench"] != "training" or row["model"] not in PRESETS:
        return []
    found = row["sides"].get(side)
    if found is None or "failed" in found:
        return []
    context = int(row["context_length"])
    usual = training_flops(PRESETS[row["model"]], context, _MASK_RATE)
    speed = float(found["tokens_per_second"])
    return [
        Measured(
            preset=row["model"],
            context_length=context,
            gpu=row["gpu"],
            precision=row["precision"],
            flops_per_second=speed * float(row.get("token_flops") or usual),
            side=side,
            line=line,
        )
    ]


def _nearest(
    path: Path, rows: list[Measured], model: EncoderConfig, phase: Phase, device: Device
) -> Efficiency:
    def distance(row: Measured) -> tuple[float, float, int]:
        sizes = parameters(PRESETS[row.preset]) / parameters(model)
        lengths = row.context_length / phase.context_length
        return abs(math.log(sizes)), abs(math.log(lengths)), -row.line

    row = min(rows, key=distance)
    return Efficiency(
        share=row.flops_per_second / device.flops(row.precision),
        source=f"measured: {path}, line {row.line}, {row.preset} at {row.context_length}, "
        f"{row.side}",
    )
