"""Tasks with their data and a model in, each learned with the best of its settings out.

Tasks that start from another task's model come in a second round. All runs of a round are in one
pool, so that every core or GPU has work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.base import files
from modernbert.evals.options import SEEDS, EvaluateOptions
from modernbert.evals.ranking import Group, Outcome, ranked
from modernbert.evals.suite import SuiteTask
from modernbert.evals.suite_files import Prepared, plain
from modernbert.model.config import EncoderConfig
from modernbert.train.processes import Ended, Job, run_jobs
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start
from modernbert.train.variants import SEED, Axis, Setting, Variant, axes_of, variants_of

Chosen = Mapping[str, tuple[Setting, ...]]
"""Settings by task."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where the runs of a task start from, and where they are."""

    model: Path
    told: str
    """What it is called."""
    folder: Path


@dataclass(frozen=True, slots=True)
class Learned:
    """A task that was learned."""

    task: SuiteTask
    start: Beginning
    num_tried: int
    group: Group
    """The runs of the best settings, a seed each."""

    @property
    def model(self) -> Path | None:
        """Where others start from: its first seed, so that more seeds change nothing for them."""
        first = self.group.outcomes[0]
        return self.start.folder / first.variant.name / "model" if first.summary else None


@dataclass(frozen=True, slots=True)
class Rounds:
    """What all runs of an evaluation have in common."""

    tasks: Mapping[str, tuple[SuiteTask, Prepared]]
    """Those whose data is there."""
    shape: EncoderConfig
    options: EvaluateOptions
    at_once: int

    def learn(
        self, model: Path, folder: Path, settings: Chosen | None = None
    ) -> dict[str, Learned] | None:
        """Learn every task, by given settings or by the best of those tried; None if interrupted.

        Raises:
            ConfigError: a folder was begun with something else.
        """
        found: dict[str, Learned] = {}
        for is_second in (False, True):
            names = [name for name in self.tasks if self._follows(name) == is_second]
            learned = self._round(names, model, folder, settings, found) if names else {}
            if learned is None:
                return None
            found |= learned
        return {name: found[name] for name in self.tasks}

    def _follows(self, name: str) -> bool:
        return self.tasks[name][0].follows in self.tasks

    def _round(
        self,
        names: Sequence[str],
        model: Path,
        folder: Path,
        settings: Chosen | None,
        before: Mapping[str, Learned],
    ) -> dict[str, Learned] | None:
        starts = {name: self._start(name, model, folder, before) for name in names}
        axes = {name: self._axes(name, settings) for name in names}
        tried = self._run(axes, starts)
        if tried is None:
            return None
        best = {name: groups[0].settings for name, groups in tried.items()}
        again = self._run({n: _fixed(best[n], self._seeds()) for n in names}, starts)
        if again is None:
            return None
        for name, groups in tried.items():
            _drop_models(starts[name].folder, groups, best[name])
        return {
            name: Learned(self.tasks[name][0], starts[name], len(tried[name]), again[name][0])
            for name in names
        }

    def _start(
        self, name: str, model: Path, folder: Path, before: Mapping[str, Learned]
    ) -> Beginning:
        first = self.tasks[name][0].follows
        learned = before[first].model if first in before else None
        if learned is None:
            told = f"the model, without {first}" if first else "the model"
            return Beginning(model, told, folder / plain(name))
        # Apart from the others, so that MNLI may be learned later than what follows it.
        return Beginning(learned, first, folder / f"{plain(name)}-after-{plain(first)}")

    def _axes(self, name: str, settings: Chosen | None) -> list[Axis]:
        if settings is not None:
            return _fixed(settings[name], self._seeds())
        own = self.tasks[name][0].axes(self.shape.dim, is_quick=self.options.quick)
        given = {axis.name: axis for axis in axes_of(self.options.sweep)}
        axes = [given.pop(axis.name, axis) for axis in own] + [*given.values()]
        num_tried = len(variants_of(TuneConfig(), axes))
        # More seeds only for the best of several settings.
        return [*axes, Axis(SEED, self._seeds() if num_tried == 1 else SEEDS[:1])]

    def _seeds(self) -> tuple[int, ...]:
        return SEEDS[: self.options.seeds]

    def _run(
        self, axes: Mapping[str, Sequence[Axis]], starts: Mapping[str, Beginning]
    ) -> dict[str, list[Group]] | None:
        """Run what is missing of all tasks together, and rank each task's runs."""
        variants = {name: variants_of(self._config(name), each) for name, each in axes.items()}
        jobs = [
            self._job(name, variant, starts[name])
            for name, each in variants.items()
            for variant in each
        ]
        ended = run_jobs(jobs, self.at_once)
        if ended is None:
            return None
        rest = iter(ended)
        return {
            name: ranked([_outcome(variant, next(rest)) for variant in each])
            for name, each in variants.items()
        }

    def _job(self, name: str, variant: Variant, start: Beginning) -> Job:
        begin = Start(self.tasks[name][0].learns, str(start.model))
        return Job(start.folder / variant.name, begin, variant.config)

    def _config(self, name: str) -> TuneConfig:
        task, given = self.tasks[name]
        paths = {part: str(path) for part, path in given.paths.items()}
        longest = self.shape.max_length
        is_labels = task.learns == "classify"
        return TuneConfig(
            train=paths["train"],
            dev=paths.get("dev", ""),
            test=paths.get("test", ""),
            text="text" if is_labels else "",
            pair="pair" if given.is_pair else "",
            label=("label",) if is_labels else (),
            problem="regression" if task.is_value() else "single_label" if is_labels else "auto",
            max_length=min(task.max_length or longest, longest),
            batch_size=task.batch_size,
            best_by=task.best_by,
            # A search stops what does not improve over two epochs.
            evaluations=1 if self.options.quick else 4,
            patience=0 if self.options.quick else 8,
            precision=task.precision,
            # As the paper's authors had it: their optimizer limits each tensor's step instead.
            clip_norm=0.0,
            device=self.options.device,
        )


def _outcome(variant: Variant, ended: Ended) -> Outcome:
    return Outcome(variant, ended.summary, ended.failure)


def _fixed(settings: Sequence[Setting], seeds: tuple[int, ...]) -> list[Axis]:
    return [*(Axis(each.name, (each.value,)) for each in settings), Axis(SEED, seeds)]


def _drop_models(folder: Path, groups: Sequence[Group], kept: tuple[Setting, ...]) -> None:
    """Delete the models of all settings but the best: a grid of them fills a disk."""
    for group in groups:
        for outcome in group.outcomes if group.settings != kept else ():
            files.remove_folder(folder / outcome.variant.name / "model")
