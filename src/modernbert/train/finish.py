"""A fine-tuning that is over in, its best model calibrated, measured and described out."""

import dataclasses

import torch

from modernbert.base import machine
from modernbert.base.log import hushed, say
from modernbert.base.records import from_plain
from modernbert.train import tune_card
from modernbert.train.calibrate import calibrate
from modernbert.train.description import read_description
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in
from modernbert.train.summary import Summary, write_summary
from modernbert.train.tune import outputs_of
from modernbert.train.tuning import READERS, Start, Tuning


def finish(tuning: Tuning) -> Summary:
    """Calibrate the best model where that is asked for, measure it, and write what came of the run.

    Raises:
        DataError: the examples of --test cannot be read.
        MachineError: the folder cannot be written.
    """
    if tuning.config.calibrate:
        calibrate(tuning)
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
    tune_card.write(tuning, summary)
    write_summary(summary, tuning.folder)
    return summary


def _tested(tuning: Tuning) -> tuple[dict[str, float], int]:
    # Read as the other part to measure on: what is known of labels comes from training anyway.
    asked = dataclasses.replace(tuning.config, dev=tuning.config.test)
    start = from_plain(Start, read_description(tuning.folder)["start"], "start")
    with hushed():
        given = READERS[start.task](asked, tuning.tokenizer, tuning.config.max_length, "test").dev
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
