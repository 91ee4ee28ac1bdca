"""A fine-tuning's data and a step in, the work of each step that is left out, made ahead."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modernbert.base import dist
from modernbert.data.chunks import Rows
from modernbert.data.rows import ExampleStream, Micro
from modernbert.optim.schedule import Schedule
from modernbert.tasks.base import Task
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import TuneData


@dataclass(frozen=True, slots=True)
class TuneWork:
    """What one optimizer step is made of, on this rank."""

    step: int
    """From 1."""
    epoch: float
    """Epochs that are over once the step is taken."""
    task: Task[Micro, Any]
    batches: tuple[Any, ...]
    rows: tuple[Rows, ...]
    num_tokens: int
    """Over all ranks."""
    num_examples: int
    """Over all ranks."""
    lr: float
    is_measured: bool
    """Whether the examples of --dev are measured after it."""


def stream_of(config: TuneConfig, data: TuneData, shares: int = 1) -> ExampleStream:
    """Return the order of the examples; a step's are dealt out into up to `shares` where one is."""
    return ExampleStream(
        data.train.examples,
        batch_size=config.batch_size,
        row_tokens=config.row_tokens,
        seed=config.seed,
        shares=shares,
    )


def num_steps(config: TuneConfig, data: TuneData) -> int:
    """Return the steps of all epochs."""
    return config.epochs * stream_of(config, data).steps_per_epoch


def feed(
    config: TuneConfig,
    data: TuneData,
    done: int,
    *,
    shares: int = 1,
) -> Iterator[TuneWork]:
    """Yield the work of every step after the first `done`, in order."""
    stream = stream_of(config, data, shares)
    size, task = len(data.train.examples), data.train.task
    per_epoch, horizon = stream.steps_per_epoch, config.epochs * size
    climb = round(config.warmup * horizon)
    # Counted in examples here: a schedule asks for no unit.
    schedule = Schedule(warmup_tokens=climb, decay_tokens=horizon - climb, decay="linear")
    for step in range(done + 1, num_steps(config, data) + 1):
        taken = stream.take(step - 1, dist.rank(), dist.world_size())
        epochs_over, within = divmod(step - 1, per_epoch)
        middle = epochs_over * size + within * config.batch_size + taken.num_examples / 2
        yield TuneWork(
            step=step,
            epoch=step / per_epoch,
            task=task,
            batches=tuple(task.collate(micro) for micro in taken.micros),
            rows=tuple(micro.rows for micro in taken.micros),
            num_tokens=taken.num_tokens,
            num_examples=taken.num_examples,
            lr=config.peak_lr * schedule.at(middle, horizon),
            is_measured=_is_measured(step, per_epoch, config.evaluations),
        )


def _is_measured(step: int, per_epoch: int, evaluations: int) -> bool:
    """Return whether a step is the last of an epoch's n-th part."""
    within = (step - 1) % per_epoch + 1
    return within * evaluations // per_epoch > (within - 1) * evaluations // per_epoch
