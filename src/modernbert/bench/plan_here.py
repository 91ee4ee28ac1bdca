"""A run's shape in, what this machine makes of a few of its steps out, beside what was planned."""

import time
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch

from modernbert.base import machine
from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import MachineError
from modernbert.base.log import say
from modernbert.base.rng import generator, key
from modernbert.bench.peaks import peak
from modernbert.bench.training_work import Step
from modernbert.data.chunks import Rows
from modernbert.data.masking import MaskingRule
from modernbert.kernels.precision import choose_precision
from modernbert.model.config import EncoderConfig
from modernbert.model.init import build
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.tasks.clm import CausalLM
from modernbert.tasks.mlm import MaskedLM
from modernbert.train.config import Phase, RunConfig
from modernbert.train.parallel import prepare
from modernbert.train.plan_devices import Device
from modernbert.train.plan_memory import Sharing, memory
from modernbert.train.plan_published import usual
from modernbert.train.plan_speed import Efficiency, token_flops, token_seconds
from modernbert.train.step import accumulate, move

_STEPS = 3
"""Timed, after one that warms up."""
_SEED, _RATE = 17, 1e-5
_ROWS_A_STEP = 2
"""So that gradients are there while a row is computed, as in a run that accumulates them."""
_STEP_S = 20.0
"""A step is made smaller until it should take no longer."""
_USUAL_SHARE = 0.4
_ROOM = 0.5
"""Of the memory that is free, for a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What was found out about this machine."""

    device: Device
    sharing: Sharing
    """As it was given, in the precision that was chosen."""
    efficiency: Efficiency
    model: EncoderConfig
    """The shape whose steps were taken: the run's, or one with fewer layers."""
    row_tokens: int
    planned_tokens_per_second: float
    """By the machine's own rate of products and the share that is usual."""
    measured_tokens_per_second: float
    planned_bytes: int
    measured_bytes: int | None
    """The most that was held above what was there before; None where the system does not say."""


@dataclass(frozen=True, slots=True)
class _Trial:
    model: EncoderConfig
    row_tokens: int


def measure(config: RunConfig, sharing: Sharing, precision_asked: str = "auto") -> Here:
    """Take a few steps of the run's first phase, of fewer layers and shorter rows where needed.

    The precision is chosen as a run chooses it, whatever `sharing` says.

    Raises:
        MachineError: not even a row of a model with one layer fits.
    """
    where = choose_device("auto")
    precision = choose_precision(precision_asked, where, config.model.dim)
    how = replace(sharing.how, precision=precision, is_cpu=where.type == "cpu")
    sharing = replace(sharing, gpus=1, how=how)
    rate, _ = peak(where, precision)
    there = _device(where, rate)
    phase = config.phases[0]
    trial = _trial(config.model, phase, sharing, rate, _ROOM * _free(there))
    say(
        f"{there.title}: {rate / 1e9:.0f} GFLOP/s in {precision}; {_STEPS + 1} steps of "
        f"{_ROWS_A_STEP} rows of {trial.row_tokens} tokens, {trial.model.num_layers} of "
        f"{config.model.num_layers} layers"
    )
    seconds, held = _taken(trial, phase, sharing, Autocast(where, precision))
    # Whoever else was busy when the rate was measured may have gone.
    rate = max(rate, peak(where, precision)[0])
    tokens = _ROWS_A_STEP * trial.row_tokens
    length = min(phase.context_length, trial.row_tokens)
    recomputes = sharing.how.recomputes
    flops = token_flops(trial.model, length, phase.guessed_share, recomputes=recomputes)
    return Here(
        device=_device(where, rate),
        sharing=sharing,
        efficiency=Efficiency(
            share=flops * tokens / seconds / rate,
            source=f"measured here: {trial.model.num_layers} of {config.model.num_layers} layers, "
            f"rows of {trial.row_tokens} tokens",
        ),
        model=trial.model,
        row_tokens=trial.row_tokens,
        planned_tokens_per_second=1 / token_seconds(flops, rate, usual(there)),
        measured_tokens_per_second=tokens / seconds,
        planned_bytes=memory(trial.model, trial.row_tokens, phase.guessed_share, sharing).total,
        measured_bytes=held,
    )


def _device(where: torch.device, rate: float) -> Device:
    is_cpu = where.type == "cpu"
    if is_cpu:
        title, memory_bytes = machine.machine()["processor"], machine.memory_bytes()
    else:
        title = torch.cuda.get_device_name(where)
        memory_bytes = torch.cuda.get_device_properties(where).total_memory
    return Device(
        name="here",
        title=title or "this machine",
        bfloat16_flops=rate,
        float32_flops=rate,
        memory_bytes=memory_bytes,
        watts=0.0,
        is_cpu=is_cpu,
    )


def _free(device: Device) -> float:
    if not device.is_cpu:
        return device.usable_bytes
    return min(device.usable_bytes, machine.available_bytes() or device.usable_bytes)


def _trial(
    model: EncoderConfig, phase: Phase, sharing: Sharing, rate: float, room: float
) -> _Trial:
    """Return the run's row and shape, or the nearest that is over soon and fits."""
    row, layers = phase.row_tokens, model.num_layers
    while True:
        trial = _Trial(_first_layers(model, layers), row)
        needed = memory(trial.model, row, phase.guessed_share, sharing).total
        length = min(phase.context_length, row)
        flops = token_flops(trial.model, length, phase.guessed_share) * row * _ROWS_A_STEP
        is_soon = flops / rate / _USUAL_SHARE <= _STEP_S
        if needed <= room and is_soon:
            return trial
        if row > phase.context_length:
            row = max(phase.context_length, row // 2 // phase.context_length * phase.context_length)
        elif layers > 1:
            layers = -(-layers // 2)
        elif row > 1024:
            row //= 2
        else:
            raise MachineError(
                f"a step of one layer and {row} tokens needs {needed / 1e9:.1f} GB and "
                f"{flops / 1e9:.0f} GFLOP, too much to be tried here: plan with --device and a name"
            )


def _first_layers(model: EncoderConfig, number: int) -> EncoderConfig:
    return replace(model, num_layers=number, layer_kinds=model.layer_kinds[:number])


def _taken(
    trial: _Trial, phase: Phase, sharing: Sharing, autocast: Autocast
) -> tuple[float, int | None]:
    """Return the seconds of a step, median, and the bytes that were held."""
    device = autocast.device
    is_cuda = device.type == "cuda"
    before = 0 if is_cuda else machine.resident_bytes()
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    is_counted = is_cuda or machine.start_peak()
    model = build(_at(trial, phase), _SEED).to(device).train()
    prepare(model, checkpoint_activations=sharing.how.recomputes, compile_layers=False)
    optimizer = StableAdamW(decay_groups(model.named_parameters(), phase.weight_decay), lr=_RATE)
    took = []
    for step in range(_STEPS + 1):
        work = _work(trial, phase, step)
        start = time.perf_counter()
        accumulate(model, work, autocast, _SEED)
        move(optimizer, _RATE)
        if is_cuda:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    held = torch.cuda.max_memory_allocated() if is_cuda else machine.peak_bytes()
    if held is None or before is None or not is_counted:
        return median(took[1:]), None
    return median(took[1:]), int(held) - before


def _at(trial: _Trial, phase: Phase) -> EncoderConfig:
    return replace(
        trial.model,
        global_rope_theta=phase.global_rope_theta,
        local_rope_theta=phase.local_rope_theta,
        max_length=phase.context_length,
    )


def _work(trial: _Trial, phase: Phase, step: int) -> Step:
    """Draw what a step of the run learns from: rows full of documents as long as the context."""
    rows = tuple(_rows(trial, phase, _ROWS_A_STEP * step + row) for row in range(_ROWS_A_STEP))
    task = _task(trial, phase)
    return Step(step, task, tuple(task.collate(each) for each in rows), rows)


def _task(trial: _Trial, phase: Phase) -> MaskedLM | CausalLM:
    if phase.objective == "causal":
        return CausalLM()
    vocabulary = np.arange(trial.model.vocab_size)
    rule = MaskingRule(
        rate=phase.mask_rate,
        mask_id=int(vocabulary[-1]),
        special_ids=frozenset(),
        ordinary_ids=vocabulary,
    )
    return MaskedLM(rule, key(_SEED, "plan", "masks"))


def _rows(trial: _Trial, phase: Phase, number: int) -> Rows:
    length = min(phase.context_length, trial.row_tokens)
    lengths = [length] * (trial.row_tokens // length)
    if rest := trial.row_tokens - sum(lengths):
        lengths.append(rest)
    source = generator(_SEED, "plan", number)
    ids = source.integers(trial.model.vocab_size, size=trial.row_tokens)
    return Rows(ids, tuple(lengths), np.arange(len(lengths)) + number * trial.row_tokens)
