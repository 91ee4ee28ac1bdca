"""Options with several values in; all combinations fine-tuned, ranked and written down.

DIR/sweep.json  what was asked, and every run with what came of it
DIR/runs/       a folder a run, with what it was asked and what it said beside it
DIR/model/      the best model of the best settings
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.base import files, machine
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.base.log import count, duration
from modernbert.base.records import from_plain, to_plain
from modernbert.evals.ranking import Group, Outcome, ranked
from modernbert.evals.text_table import text_table
from modernbert.train.checkpoint import FORMAT, read_record
from modernbert.train.processes import Job, run_jobs
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start
from modernbert.train.variants import Variant, axes_of, variants_of

NAME = "sweep.json"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is run."""

    start: Start
    config: TuneConfig
    """What all runs have in common."""
    words: tuple[str, ...]
    """Options with their values, as on the command line."""


def sweep(asked: Sweep, folder: Path, at_once: int) -> list[Group] | None:
    """Run what is missing, write DIR/sweep.json and DIR/model; return None when interrupted.

    Raises:
        ConfigError: an option or value is wrong, or the folder holds something else.
        MachineError: the folder cannot be written.
    """
    variants = variants_of(asked.config, axes_of(asked.words))
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).exists():
        raise ConfigError(f"{folder} is not empty: give another folder for the run")
    files.make_folder(folder)
    record = {"format": FORMAT, "asked": to_plain(asked), "groups": []}
    before = read_sweep(folder) if (folder / NAME).exists() else asked
    # Another model or other options are refused by the runs, and the record stays.
    if (before.start, before.config) == (asked.start, asked.config):
        files.write_json(folder / NAME, record)
    groups = outcomes_of(asked.start, variants, folder / "runs", at_once)
    if groups is None:
        return None
    found = record | {"groups": [plain(group) for group in groups], **provenance()}
    files.write_json(folder / NAME, found)
    best = groups[0].best
    if best is not None:
        copy_model(folder / "runs" / best.variant.name / "model", folder / "model")
    return groups


def read_sweep(folder: Path) -> Sweep:
    """Return what a folder was begun with.

    Raises:
        CheckpointError: its record is broken.
    """
    told = read_record(folder / NAME)
    if "asked" not in told:
        raise CheckpointError(f"{folder} holds no sweep: give the folder of one")
    return from_plain(Sweep, told["asked"], f"{folder / NAME}: asked")


def outcomes_of(
    start: Start, variants: Sequence[Variant], folder: Path, at_once: int
) -> list[Group] | None:
    """Run what is missing of some combinations, and rank them; return None when interrupted."""
    jobs = [Job(folder / variant.name, start, variant.config) for variant in variants]
    ended = run_jobs(jobs, at_once)
    if ended is None:
        return None
    found = zip(variants, ended, strict=True)
    return ranked([Outcome(variant, each.summary, each.failure) for variant, each in found])


def copy_model(source: Path, target: Path) -> None:
    """Put a copy of a model's folder in another place, whole or not at all."""
    with files.whole_folder(target) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)


def provenance() -> Mapping[str, Any]:
    """Return what a record was made with."""
    return {
        "versions": machine.versions(),
        "machine": machine.machine(),
        "command": machine.command(),
        "commit": machine.commit(),
    }


def plain(group: Group) -> Mapping[str, Any]:
    """Return a group as it is written down."""
    measured = group.decisive
    return {
        "settings": {setting.name: to_plain(setting.value) for setting in group.settings},
        "mean": measured.mean if measured else None,
        "half_width": measured.half_width if measured else None,
        "runs": [_run(outcome) for outcome in group.outcomes],
    }


def table(groups: Sequence[Group]) -> str:
    """Return the ranking as lines of text."""
    measure = next((s.decisive for group in groups for s in group.summaries), "measure")
    head = ("", "settings", f"dev {measure}", "test", "runs", "tokens/s", "memory", "time")
    lines = [_line(place, group) for place, group in enumerate(groups, start=1)]
    failed = [
        f"{outcome.variant.name} failed: {outcome.failure}"
        for group in groups
        for outcome in group.outcomes
        if outcome.summary is None
    ]
    return "\n".join([text_table(lines, head), *failed])


def _line(place: int, group: Group) -> tuple[str, ...]:
    name = " ".join(map(str, group.settings)) or "as given"
    done, measured = group.summaries, group.decisive
    whole = f"{len(done)} of {len(group.outcomes)}"
    if measured is None:
        return (str(place), name, "failed", "", whole, "", "", "")
    rates = [summary.tokens_per_second for summary in done]
    tested = [s.test[s.decisive] for s in done if s.test]
    return (
        str(place),
        name,
        measured.spelled(),
        f"{sum(tested) / len(tested):.4f}" if tested else "",
        whole,
        count(sum(rates) / len(rates)),
        f"{max(summary.peak_bytes for summary in done) / 1e9:.1f} GB",
        duration(sum(summary.seconds for summary in done)),
    )


def _run(outcome: Outcome) -> Mapping[str, Any]:
    summary = outcome.summary
    told = {"name": outcome.variant.name, "seed": outcome.variant.config.seed}
    if summary is None:
        return told | {"failure": outcome.failure}
    return told | {**to_plain(summary), "tokens_per_second": summary.tokens_per_second}
