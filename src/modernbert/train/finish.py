"""A fine-tuning that is over in, OUT/summary.json out: what came of it, and what it cost."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from modernbert.base import files, machine
from modernbert.base.log import hushed, say
from modernbert.base.records import from_plain, to_plain
from modernbert.train.checkpoint import FORMAT, read_record
from modernbert.train.description import read_description
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in
from modernbert.train.tune import outputs_of
from modernbert.train.tuning import READERS, Start, Tuning

NAME = "summary.json"


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a fine-tuning; a folder that has one is finished."""

    decisive: str
    """Which measure made the model the best."""
    step: int
    """Step of the best model."""
    epoch: float
    """Epochs that the best model has seen."""
    dev: dict[str, float]
    """Measures of the best model on the examples of --dev."""
    test: dict[str, float]
    """The same on those of --test; empty without."""
    steps: int
    """Steps that were taken in all."""
    tokens: int
    """Tokens that were learned from, each as often as it was seen."""
    seconds: float
    """Time in steps, evaluations left out."""
    peak_bytes: int
    """Most memory the device or, on a CPU, the process held; 0 where nobody says."""
    dev_examples: int
    test_examples: int

    @property
    def tokens_per_second(self) -> float:
        """Tokens that a second of training took in."""
        return self.tokens / self.seconds if self.seconds else 0.0


def finish(tuning: Tuning) -> Summary:
    """Measure the best model on the examples of --test, and write what came of the run.

    Raises:
        DataError: the examples of --test cannot be read.
        MachineError: the folder cannot be written.
    """
    steps = steps_in(tuning.folder / METRICS)
    best = [row for row in steps_in(tuning.folder / EVALUATIONS) if row["is_best"]][-1]
    test, test_examples = _tested(tuning) if tuning.config.test else ({}, 0)
    summary = Summary(
        decisive=tuning.decisive,
        step=best["step"],
        epoch=best["epoch"],
        dev={name: best[name] for name in tuning.data.dev.task.measures},
        test=test,
        steps=len(steps),
        tokens=sum(row["tokens"] for row in steps),
        seconds=sum(row["seconds"] for row in steps),
        peak_bytes=_peak_bytes(tuning),
        dev_examples=len(tuning.data.dev.examples),
        test_examples=test_examples,
    )
    files.write_json(tuning.folder / NAME, {"format": FORMAT, **to_plain(summary)})
    return summary


def read_summary(folder: Path) -> Summary | None:
    """Return what came of a run; None while it is not over.

    Raises:
        CheckpointError: the record is broken, or of another format.
        ConfigError: it has other keys.
    """
    path = folder / NAME
    if not path.exists():
        return None
    told = {key: value for key, value in read_record(path).items() if key != "format"}
    return from_plain(Summary, told, str(path))


def _tested(tuning: Tuning) -> tuple[dict[str, float], int]:
    # Read as the other part to measure on: what is known of labels comes from training anyway.
    asked = dataclasses.replace(tuning.config, dev=tuning.config.test)
    start = from_plain(Start, read_description(tuning.folder)["start"], "start")
    with hushed():
        given = READERS[start.task](asked, tuning.tokenizer, tuning.config.max_length).dev
    measured = given.task.measure(outputs_of(tuning.best_model(), given, tuning.autocast))
    say(
        f"test, {len(given.examples)} examples: "
        + ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
    )
    return measured, len(given.examples)


def _peak_bytes(tuning: Tuning) -> int:
    if tuning.autocast.device.type == "cuda":
        return torch.cuda.max_memory_allocated(tuning.autocast.device)
    return machine.peak_bytes() or 0
