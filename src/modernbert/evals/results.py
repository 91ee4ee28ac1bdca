"""What a model reached in a suite, as data: `results.json` is exactly this."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modernbert.evals.interval import estimate
from modernbert.evals.ranking import Group
from modernbert.evals.suite import Suite, SuiteTask
from modernbert.train.summary import Summary

UNASKED = "it was not asked for"


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One run with the chosen settings."""

    seed: int
    score: float
    measures: dict[str, float]
    epoch: float
    """Epochs that its best model has seen."""
    tokens: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Score:
    """What something reached in a task."""

    by: str
    mean: float | None
    """In percent; None where every run failed."""
    half_width: float | None
    """The 95% interval is the mean plus and minus this; one run has none."""
    measures: dict[str, float]
    """Means over the runs."""
    runs: tuple[SeedResult, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def spelled(self) -> str:
        """Return it as a person reads it."""
        if self.mean is None:
            return "failed"
        return f"{self.mean:.1f}" + (f" ± {self.half_width:.1f}" if self.half_width else "")


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What was reached in one task."""

    task: str
    missing: str = ""
    """Why nothing was measured."""
    started_from: str = ""
    settings: dict[str, Any] | None = None
    """The chosen ones."""
    num_tried: int = 0
    """Combinations of settings among which they were chosen."""
    rows: dict[str, int] | None = None
    """Examples of each part."""
    score: Score | None = None
    others: tuple[Score, ...] = ()
    """Baselines."""

    @property
    def mean(self) -> float | None:
        """The model's score, where there is one."""
        return self.score.mean if self.score else None

    @property
    def tokens_per_second(self) -> float:
        """Tokens that a second of training took in, over all runs."""
        runs = self.score.runs if self.score else ()
        seconds = sum(run.seconds for run in runs)
        return sum(run.tokens for run in runs) / seconds if seconds else 0.0

    @property
    def peak_bytes(self) -> int:
        """Most memory that a run held."""
        return max((run.peak_bytes for run in (self.score.runs if self.score else ())), default=0)


@dataclass(frozen=True, slots=True)
class Results:
    """What was reached in a suite."""

    suite: str
    model: str
    profile: str
    """How settings were found."""
    notes: tuple[str, ...]
    average: float | None
    averaged: str
    """What the average is of, by name."""
    tasks: tuple[TaskResult, ...]


def average_of(suite: Suite, tasks: Sequence[TaskResult]) -> tuple[float | None, str]:
    """Return the mean over the tasks that have a score, and what it is to be called.

    Only where every task of the suite has one does it have the suite's name.
    """
    scored = {task.task: task.mean for task in tasks if task.mean is not None}
    if not scored:
        return None, "no task has a score"
    mean = sum(scored.values()) / len(scored)
    if {*scored} == {task.name for task in suite.tasks}:
        return mean, suite.title
    return mean, f"average of {', '.join(scored)} ({len(scored)} of {len(suite.tasks)} tasks)"


def score_of(by: str, task: SuiteTask, group: Group) -> Score:
    """Return what the runs of one group reached."""
    runs = tuple(
        _seed_result(task, outcome.variant.config.seed, outcome.summary)
        for outcome in group.outcomes
        if outcome.summary is not None
    )
    failures = tuple(each.failure for each in group.outcomes if each.summary is None)
    if not runs:
        return Score(by, None, None, {}, (), failures)
    found = estimate([run.score for run in runs])
    measures = {
        name: sum(run.measures[name] for run in runs) / len(runs) for name in runs[0].measures
    }
    return Score(by, found.mean, found.half_width, measures, runs, failures)


def measured_score(by: str, task: SuiteTask, measured: dict[str, float]) -> Score:
    """Return what something without a seed reached."""
    return Score(by, task.score(measured), None, measured)


def _seed_result(task: SuiteTask, seed: int, summary: Summary) -> SeedResult:
    measured = task.measured(summary)
    return SeedResult(
        seed=seed,
        score=task.score(measured),
        measures=measured,
        epoch=summary.epoch,
        tokens=summary.tokens,
        seconds=summary.seconds,
        peak_bytes=summary.peak_bytes,
    )
