"""Ways to take an optimizer step, by name, and what a process that takes it can be asked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import torch
from torch import nn

from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import ConfigError
from modernbert.base.machine import resident_bytes
from modernbert.base.records import nearest
from modernbert.bench.measure import peak_above, peak_on_cuda
from modernbert.bench.peers import PaddedTransformers
from modernbert.bench.training_case import TrainingCase
from modernbert.bench.training_work import LR, SEED, Job, Step, grids_of, job_of, spread_out
from modernbert.bench.worker import Answers
from modernbert.kernels.attention import flash
from modernbert.model.init import build
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train.parallel import prepare
from modernbert.train.step import accumulate, gradient_norm, move

PACKED = "packed"
STEPS_ON_CUDA = 4
"""Optimizer steps of a round there: one is over in a fraction of a second."""


@dataclass(frozen=True, slots=True)
class Stepper:
    """A model that learns: gradients of a step gathered, then the weights moved."""

    model: nn.Module
    gather: Callable[[Step], float]
    """Return the mean loss, too."""
    move: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to take a step."""

    make: Callable[[TrainingCase, Job, Autocast], Stepper]
    package: str = "torch"
    """What must be installed for it, by the name that is imported."""
    kernel: str = ""
    """Flash kernel that torch is to run."""
    needs_cuda: bool = False
    """Whether it runs on CUDA alone, and in bfloat16 alone."""

    def can(self, device: torch.device, precision: str) -> bool:
        """Return whether it computes that there."""
        return not self.needs_cuda or (device.type == "cuda" and precision == "bfloat16")

    @property
    def is_installed(self) -> bool:
        """Return whether what it needs is there."""
        if self.kernel:
            return flash.is_installed(self.kernel)
        return find_spec(self.package) is not None


def _ours(
    case: TrainingCase,
    job: Job,
    autocast: Autocast,
    *,
    is_compiled: bool = False,
    is_recomputed: bool = False,
    is_padded: bool = False,
) -> Stepper:
    """This package's own step, on packed rows or on the same documents with their padding."""
    model = build(job.config, SEED).to(autocast.device).train()
    prepare(model, checkpoint_activations=is_recomputed, compile_layers=is_compiled)
    optimizer = StableAdamW(decay_groups(model.named_parameters(), 0.0), lr=LR)

    def gather(step: Step) -> float:
        if is_padded:
            step = spread_out(step, case.batch_size, job.config.pad_id)
        return accumulate(model, step, autocast, SEED).loss

    return Stepper(model, gather, partial(move, optimizer, LR))


def _theirs(
    case: TrainingCase,
    job: Job,
    autocast: Autocast,
    *,
    attention: str = "sdpa",
    is_compiled: bool = False,
    is_recomputed: bool = False,
) -> Stepper:
    """Make a plain loop over transformers' model, as its users write it."""
    peer = PaddedTransformers(build(job.config, SEED), LR, autocast, attention)
    if is_recomputed:
        peer.recompute()
    if is_compiled:
        peer.model.compile(dynamic=True)

    def gather(step: Step) -> float:
        return peer.loss(grids_of(step, case.batch_size, job.config.pad_id))

    return Stepper(peer.model, gather, peer.move)


_THEIRS = "transformers"

SIDES: dict[str, Side] = {
    PACKED: Side(make=_ours),
    "packed compiled": Side(make=partial(_ours, is_compiled=True)),
    "packed recomputed": Side(make=partial(_ours, is_recomputed=True)),
    "packed compiled recomputed": Side(make=partial(_ours, is_compiled=True, is_recomputed=True)),
    "packed FA3": Side(make=_ours, kernel="FA3", needs_cuda=True),
    "packed FA4": Side(make=_ours, kernel="FA4", needs_cuda=True),
    "padded": Side(make=partial(_ours, is_padded=True)),
    _THEIRS: Side(make=_theirs, package=_THEIRS),
    "transformers compiled": Side(make=partial(_theirs, is_compiled=True), package=_THEIRS),
    "transformers recomputed": Side(make=partial(_theirs, is_recomputed=True), package=_THEIRS),
    "transformers flash": Side(
        make=partial(_theirs, attention="flash_attention_2"),
        package="flash_attn",
        needs_cuda=True,
    ),
}


def answers(name: str, case: TrainingCase, corpus: Path | None) -> Answers:
    """Make a side, and say what it can be asked.

    `first` is the loss of the first step and its gradients' norm, `seconds` what a step takes,
    `peak` the bytes that one needs above the weights, its gradients and moments among them.
    """
    autocast = Autocast(choose_device(case.device), case.precision)
    job = job_of(case, corpus)
    if SIDES[name].kernel:
        flash.activate(SIDES[name].kernel)
    stepper = SIDES[name].make(case, job, autocast)
    before = _held(stepper.model, autocast.device)
    steps = cycle(job.steps[1:])

    def first() -> tuple[float, float]:
        loss = stepper.gather(job.steps[0])
        norm = float(gradient_norm(stepper.model))
        stepper.move()
        if autocast.device.type == "cuda":  # the others take their first step beside it
            torch.cuda.empty_cache()
        return loss, norm

    def once() -> None:
        stepper.gather(next(steps))
        stepper.move()

    if autocast.device.type == "cuda":
        assert before is not None, "a driver always says what is allocated"
        return {
            "first": first,
            "seconds": partial(_seconds_on_cuda, once),
            "peak": lambda: peak_on_cuda(before, once),
        }
    return {
        "first": first,
        "seconds": lambda: _seconds(once),
        "peak": lambda: peak_above(before, once),
    }


def _held(model: nn.Module, device: torch.device) -> int | None:
    """Return the bytes that are held with the weights in memory."""
    # Weights that are mapped from a file are memory only once they were read.
    sum(float(weight.detach().sum()) for weight in model.parameters())
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated())
    return resident_bytes()


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _seconds_on_cuda(work: Callable[[], None]) -> float:
    """Return the seconds of a step, and give its memory to the other processes."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(STEPS_ON_CUDA):
        work()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    torch.cuda.empty_cache()
    return seconds / STEPS_ON_CUDA


def chosen(case: TrainingCase, device: torch.device) -> Sequence[str]:
    """Return the sides of a case, `packed` the first; unasked, those that can run here.

    Raises:
        ConfigError: one that was asked for cannot run here.
    """
    able = [name for name, side in SIDES.items() if side.can(device, case.precision)]
    for name in case.sides:
        if name not in able:
            raise ConfigError(
                f"the side {name!r} cannot run in {case.precision} on {device.type}: "
                f"{nearest(name, able)}"
            )
    if case.sides:
        return [name for name in able if name == PACKED or name in case.sides]
    return [name for name in able if SIDES[name].is_installed]
