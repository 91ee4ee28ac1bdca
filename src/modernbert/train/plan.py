"""A run and devices in, what it will take out: memory, hours, energy, disk. Arithmetic alone.

Nothing is measured here and torch is not loaded; where numbers come from is said in the plan.
"""

import math
from dataclasses import dataclass, replace

from modernbert.base.errors import ConfigError
from modernbert.model.config import EncoderConfig
from modernbert.model.count import parameters, table_parameters
from modernbert.train.config import Phase, RunConfig
from modernbert.train.plan_devices import Device
from modernbert.train.plan_memory import Memory, Sharing, longest_row, memory, remembered
from modernbert.train.plan_speed import Efficiency, token_flops, token_seconds

_HOUR = 3600
_NUMBER_BYTES = 4
"""Weights, and what the optimizer remembers of them, are saved in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run is planned for."""

    device: Device
    sharing: Sharing
    efficiencies: tuple[Efficiency, ...]
    """One a phase."""
    price: float = 0.0
    """Of a device and hour, in any currency; 0 when nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """What one phase takes."""

    name: str
    tokens: int
    context_length: int
    steps: int
    rows_a_step: int
    """On each device, once the batch has grown."""
    row_tokens: int
    memory: Memory
    fits: bool
    longest_row: int
    """The longest row that fits, in tokens; never more than a device's part of a step."""
    even_row: int
    """The longest of these that a device's part of a step is a multiple of."""
    flops_a_token: float
    """Forward and backward; what is recomputed is not in it."""
    tokens_per_second: float
    """On all devices."""
    mfu: float
    hours: float
    efficiency: Efficiency


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """What is written to disk."""

    written: int
    size_bytes: int
    kept: int
    """The ends of phases, the newest few, and the one that is being written."""

    @property
    def disk_bytes(self) -> int:
        """Most that they take at once."""
        return self.kept * self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a whole run takes."""

    device: Device
    sharing: Sharing
    parameters: int
    parameters_without_table: int
    phases: tuple[PhasePlan, ...]
    checkpoints: Checkpoints
    price: float

    @property
    def hours(self) -> float:
        """Of the clock."""
        return sum(phase.hours for phase in self.phases)

    @property
    def device_hours(self) -> float:
        """Of all devices."""
        return self.hours * self.sharing.gpus

    @property
    def kilowatt_hours(self) -> float:
        """The most that the devices draw; the rest of their machines is not in it."""
        return self.device_hours * self.device.watts / 1000

    @property
    def cost(self) -> float:
        """Price of all device-hours."""
        return self.device_hours * self.price


def plan(config: RunConfig, setup: Setup) -> RunPlan:
    """Return what a run takes.

    Raises:
        ConfigError: there is no device, a price is negative, devices do not share a step evenly,
            or not even a row of one document fits.
    """
    if setup.sharing.gpus < 1 or not 0 <= setup.price < math.inf:
        raise ConfigError(
            f"gpus is {setup.sharing.gpus} and price {setup.price}: "
            "give 1 device or more, and a price of 0 or more"
        )
    pairs = zip(config.phases, setup.efficiencies, strict=True)
    model = config.shape
    number = parameters(model)
    return RunPlan(
        device=setup.device,
        sharing=setup.sharing,
        parameters=number,
        parameters_without_table=number - table_parameters(model),
        phases=tuple(_phase(model, phase, setup, each) for phase, each in pairs),
        checkpoints=_checkpoints(config, number),
        price=setup.price,
    )


def _phase(model: EncoderConfig, phase: Phase, setup: Setup, efficiency: Efficiency) -> PhasePlan:
    sharing, device = setup.sharing, setup.device
    rows = max(1, round(phase.batch_tokens / phase.row_tokens))
    if rows % sharing.gpus:
        raise _uneven(phase, rows, sharing.gpus)
    taken = memory(model, phase.row_tokens, phase.guessed_share, sharing)
    part = phase.batch_tokens // sharing.gpus
    room = device.usable_bytes
    longest = longest_row(model, phase.context_length, part, phase.guessed_share, room, sharing)
    if not longest and taken.total > room:
        raise _too_large(model, phase, setup)
    flops = _mean_flops(model, phase, recomputes=False)
    computed = _mean_flops(model, phase, recomputes=sharing.how.recomputes)
    peak = device.flops(sharing.how.precision)
    speed = sharing.gpus / token_seconds(computed, peak, efficiency)
    return PhasePlan(
        name=phase.name,
        tokens=phase.tokens,
        context_length=phase.context_length,
        steps=steps_of(phase),
        rows_a_step=rows // sharing.gpus,
        row_tokens=phase.row_tokens,
        memory=taken,
        fits=taken.total <= room,
        longest_row=longest,
        even_row=_even(longest, part, phase.context_length),
        flops_a_token=flops,
        tokens_per_second=speed,
        mfu=speed * flops / sharing.gpus / peak,
        hours=phase.tokens / speed / _HOUR,
        efficiency=efficiency,
    )


def _mean_flops(model: EncoderConfig, phase: Phase, *, recomputes: bool) -> float:
    """Return the FLOPs of a token, the mean over a phase whose sequences may grow."""
    return sum(
        share * token_flops(model, length, phase.guessed_share, recomputes=recomputes)
        for length, share in phase.length_warmup.shares(phase.context_length, phase.tokens)
    )


def steps_of(phase: Phase) -> int:
    """Return how many optimizer steps a phase takes when rows are full."""
    growth, left, steps = phase.batch_warmup, float(phase.tokens), 0.0
    for rows, share in growth.sizes(phase.row_tokens, phase.batch_tokens):
        spent = min(left, share * growth.warmup_tokens)
        steps += spent / (rows * phase.row_tokens)
        left -= spent
    full = max(1, round(phase.batch_tokens / phase.row_tokens)) * phase.row_tokens
    return max(1, round(steps + left / full))


def _even(longest: int, part: int, context: int) -> int:
    """Return the longest row of whole contexts that divides a device's part of a step."""
    rows = range(longest, 0, -context)
    return next((row for row in rows if part % row == 0), 0)


def _checkpoints(config: RunConfig, number: int) -> Checkpoints:
    every, ends, tokens = config.save_every_tokens, 0, 0
    for phase in config.phases:
        tokens += phase.tokens
        ends += not every or tokens % every > 0  # a multiple is among those on the way
    steps = sum(steps_of(phase) for phase in config.phases)
    on_the_way = min(tokens // every, steps) if every else 0
    written = 1 + on_the_way + ends  # the first before any step
    return Checkpoints(
        written=written,
        size_bytes=_NUMBER_BYTES * (number + remembered(config.shape, config.optimizer)),
        kept=min(written, len(config.phases) + config.keep_checkpoints + 1),
    )


def _uneven(phase: Phase, rows: int, gpus: int) -> ConfigError:
    fewer = next(each for each in range(min(gpus, rows), 0, -1) if rows % each == 0)
    more = next((each for each in range(gpus + 1, rows + 1) if rows % each == 0), fewer)
    possible = " or ".join(str(each) for each in sorted({fewer, more}))
    return ConfigError(
        f"phase {phase.name}: a step of {phase.batch_tokens} tokens in rows of {phase.row_tokens} "
        f"is {rows} in all, which {gpus} devices cannot share evenly: give --gpus "
        f"{possible}, or another --phases.N.row-tokens"
    )


def _too_large(model: EncoderConfig, phase: Phase, setup: Setup) -> ConfigError:
    """Say what does not fit, and what would."""
    device, sharing = setup.device, setup.sharing
    least = memory(model, phase.context_length, phase.guessed_share, sharing)
    return ConfigError(
        f"phase {phase.name}: a row of one document of {phase.context_length} tokens needs "
        f"{least.total / 1e9:.1f} GB, of which weights, gradients and moments "
        f"{least.states / 1e9:.1f}; {device.title} has room for {device.usable_bytes / 1e9:.1f}: "
        f"{_way_out(model, phase, setup)}"
    )


def _way_out(model: EncoderConfig, phase: Phase, setup: Setup) -> str:
    sharing = setup.sharing
    lighter = replace(sharing, how=replace(sharing.how, recomputes=True))
    shared = replace(lighter, parallel="fsdp")
    for changed, said in ((lighter, ""), (shared, "--parallel fsdp and ")):
        needed = memory(model, phase.context_length, phase.guessed_share, changed).total
        if needed <= setup.device.usable_bytes:
            return f"with {said}--checkpoint-activations it takes {needed / 1e9:.1f} GB and fits"
    return "take a smaller model, more devices with --parallel fsdp, or devices with more memory"
