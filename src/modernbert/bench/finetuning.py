"""A model and labelled examples in, our fine-tuning beside Hugging Face's Trainer out."""

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import torch

from modernbert.base import machine
from modernbert.base.errors import ConfigError, MachineError
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.bench.cases import FinetuningCase
from modernbert.bench.jobs import Given, given
from modernbert.bench.measure import interleaved, peak_above, ratio
from modernbert.bench.runtimes import OURS
from modernbert.bench.trainer import HABITS, Job, Steps, Tuned, fine_tuned, held
from modernbert.bench.worker import Answers, Failure, Worker
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in
from modernbert.train.tune import tune
from modernbert.train.tune_card import short
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create

Row = dict[str, Any]


def measure(folder: Path, case: FinetuningCase) -> Row:
    """Fine-tune the same model on the same examples by every side, seed by seed, in turns.

    Each fine-tuning has a process of its own. A side that fails is left out, and the row says why.

    Raises:
        CheckpointError: the model cannot be read.
        DataError: the examples cannot be read, or Trainer cannot be given them.
        ConfigError: a side is unknown, or a number does not fit the model.
        MachineError: this package itself could not run the case.
    """
    names = _names(case)
    with tempfile.TemporaryDirectory() as there:
        scratch = Path(there)
        # The sides of one seed follow each other: one reading is kept for them.
        of_seed = lru_cache(1)(lambda seed: given(case, folder, seed, scratch))
        first = of_seed(case.seed)
        sides = {name: _Side(name, case.seed, of_seed, scratch) for name in names}
        interleaved(sides, case.seeds, warms_up=False)
    return _facts(case, folder, first) | {
        "sides": {name: side.facts(sides[OURS]) for name, side in sides.items()},
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions("accelerate"),
    }


def _names(case: FinetuningCase) -> list[str]:
    known = [name for name, it in HABITS.items() if case.task == "tokens" or not it.has_blanks]
    for name in case.sides:
        if name not in known:
            raise ConfigError(f"there is no side {name!r} for {case.task}: {nearest(name, known)}")
    return [OURS, *(name for name in known if not case.sides or name in case.sides)]


@dataclass(slots=True)
class _Side:
    """One way to fine-tune, and what came of it seed by seed."""

    name: str
    seed: int
    of_seed: Callable[[int], Given]
    scratch: Path
    found: list[Tuned] = field(default_factory=list)
    failed: str = ""

    def __call__(self) -> float | None:
        """Fine-tune with the next seed, and return the seconds of an epoch; None if it failed."""
        it = self.of_seed(self.seed + len(self.found))
        with Worker(self._work(it), it.job.config.threads) as worker:
            answer = worker.ask("run")
        if isinstance(answer, Failure):
            if self.name == OURS:
                raise MachineError(f"{OURS} failed while it was timed: {answer.reason}")
            self.failed = answer.reason
            say(f"{self.name} is left out: {self.failed}")
            return None
        self.found.append(answer)
        say(f"{self.name}, seed {it.job.config.seed}: {_line(answer, it)}")
        return self.found[-1].epoch_seconds

    def facts(self, ours: "_Side") -> Row:
        """Say what was measured, or why nothing was."""
        if self.failed:
            return {"failed": self.failed}
        here, there = ([each.epoch_seconds for each in side.found] for side in (ours, self))
        faster = ratio(there, here)
        best = [max(each.scores) for each in self.found]
        steps = [each.steps for each in self.found]
        peaks = [each.peak_bytes for each in self.found if each.peak_bytes is not None]
        real = sum(sum(each.tokens) for each in steps)
        return {
            "scores": best,
            "score": fmean(best),
            "tokens_per_second": round(median(each.tokens_per_second for each in steps), 1),
            "ours_is_faster": round(faster.middle, 3),
            "quartiles": [round(faster.low, 3), round(faster.high, 3)],
            "epoch_tokens": round(fmean(each.epoch_tokens for each in self.found)),
            "real_share": round(real / sum(sum(each.slots) for each in steps), 3),
            "peak_bytes": round(median(peaks)) if peaks else None,
        }

    def _work(self, it: Given) -> Callable[[], Answers]:
        out = self.scratch / f"{self.name} {it.job.config.seed}"
        if self.name == OURS:
            return partial(ours, it.job.config, it.start, out)
        return partial(theirs, dataclasses.replace(it.job, out=out, habits=HABITS[self.name]))


def ours(config: TuneConfig, start: Start, out: Path) -> Answers:
    """Answer by what `modernbert finetune` does and writes."""

    def run() -> Tuned:
        tuning = create(config, start, out)
        peak = peak_above(held(tuning.model), partial(tune, tuning))
        rows = steps_in(out / METRICS)
        tokens = [row["tokens"] for row in rows]
        seconds, examples = ([row[name] for row in rows] for name in ("seconds", "examples"))
        measure = tuning.data.dev.task.measures[0]
        scores = [row[measure] for row in steps_in(out / EVALUATIONS)]
        return Tuned(Steps(seconds, tokens, tokens, examples), scores, peak)

    return {"run": run}


def theirs(job: Job) -> Answers:
    """Answer by what Trainer does."""
    return {"run": partial(fine_tuned, job)}


def _line(found: Tuned, it: Given) -> str:
    memory = "" if found.peak_bytes is None else f", {found.peak_bytes / 2**20:.0f} MiB"
    return (
        f"{it.measure} {max(found.scores):.4f}, {found.steps.tokens_per_second:.0f} tok/s{memory}"
    )


def _facts(case: FinetuningCase, folder: Path, first: Given) -> Row:
    """Return what was asked and what it was asked of."""
    config = first.job.config
    return {
        "bench": "finetuning",
        "model": folder.resolve().name,
        "weights": first.weights,
        **dataclasses.asdict(case),
        "train": short(case.train),
        "dev": short(case.dev) if case.dev else "",
        "max_length": config.max_length,
        "peak_lr": config.peak_lr,
        "labels": len(first.job.head.labels),
        "examples": len(first.job.examples.train),
        "dev_examples": len(first.job.examples.dev),
        "tokens": sum(first.lengths),
        "length_quartiles": [round(each) for each in quantiles(first.lengths, n=4)],
        "measure": first.measure,
    }
