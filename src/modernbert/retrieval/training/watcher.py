"""Steps of sentence-transformers' trainer in; rows, measures, and the best model out."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from modernbert.base import files
from modernbert.base.errors import TrainingError
from modernbert.base.log import Meter, say
from modernbert.retrieval.training.checkpoints import mark_whole
from modernbert.retrieval.training.measures import Measure
from modernbert.train.rows import EVALUATIONS, METRICS
from modernbert.train.stop import StopRequest

SAVE_SECONDS = 600.0
"""Work that a kill may cost; saving changes no number."""
_SHOWN = 3
_PLACES = ("step", "epoch", "is_best")


class Watcher(TrainerCallback):
    """Looks on at every step, and says when to save and when to stop."""

    def __init__(
        self,
        folder: Path,
        measure: Measure,
        keep: Callable[[Any], None],
        bar: Meter,
        stop: StopRequest,
        due: frozenset[int],
    ) -> None:
        self._folder, self._measure, self._keep = folder, measure, keep
        self._bar, self._stop, self._due = bar, stop, due
        self._began = time.perf_counter()
        self._seconds = 0.0
        self._saved = time.monotonic()
        self.best = -float("inf")
        """Of the measure that decides, what the kept model reached."""
        self.last_measured = -1
        """Step after which the model was measured last."""

    def recall(self, rows: list[dict[str, Any]]) -> None:
        """Look up what was reached before the run was stopped."""
        for row in rows:
            self.last_measured = row["step"]
            if row["is_best"]:
                self.best = row[next(name for name in row if name not in _PLACES)]

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_step_end(self, *given: Any, **more: Any) -> TrainerControl:
        """Measure and save where it is time; save and stop after Ctrl-C."""
        state, control = _told(given)
        self._seconds = time.perf_counter() - self._began
        step = state.global_step
        if step in self._due:
            if not all(bool(weight.isfinite().all()) for weight in more["model"].parameters()):
                raise _broken(step, given[0].bf16)
            self._bar.at(step, "measuring")
            self.measured(more["model"], step, float(state.epoch or 0))
            control.should_save = True
        if time.monotonic() - self._saved > SAVE_SECONDS:
            control.should_save = True
        if self._stop.is_made:
            control.should_save = control.should_training_stop = True
        self._bar.at(step)
        return control

    def on_log(self, *given: Any, **more: Any) -> None:
        """Append a row to metrics.jsonl; a loss that is no number ends the run."""
        state, _ = _told(given)
        logs = dict(more["logs"])
        if "loss" not in logs:
            return
        row = {
            "step": state.global_step,
            "epoch": round(float(state.epoch or 0), 6),
            "loss": logs["loss"],
            "lr": logs["learning_rate"],
            "grad_norm": logs["grad_norm"],
            "seconds": round(self._seconds, 4),
        }
        files.append(self._folder / METRICS, json.dumps(row) + "\n")
        # The trainer writes the mean of earlier losses in the place of NaN.
        if not math.isfinite(row["grad_norm"]):
            raise _broken(row["step"], given[0].bf16)

    def on_save(self, *given: Any, **_: Any) -> None:
        """Mark the checkpoint as whole: one without a mark was being written when a run died."""
        state, _control = _told(given)
        mark_whole(self._folder, state.global_step)
        self._saved = time.monotonic()

    def measured(self, model: Any, step: int, epoch: float) -> None:
        """Measure a model, write it down, and keep the model if it is the best of those trained."""
        found = self._measure(model)
        self.last_measured = step
        decisive = next(iter(found.values()))
        is_best = step > 0 and decisive > self.best
        row = {"step": step, "epoch": round(epoch, 6), **found, "is_best": is_best}
        if is_best:
            self._keep(model)
            self.best = decisive
        files.append(self._folder / EVALUATIONS, json.dumps(row) + "\n")
        shown = list(found.items())[:_SHOWN]
        when = f"step {step}" if step else "before training"
        say(f"{when}: {', '.join(f'{name} {value:.4f}' for name, value in shown)}")


def _told(given: tuple[Any, ...]) -> tuple[TrainerState, TrainerControl]:
    """Return what the trainer tells a callback besides its settings, which come first."""
    return given[1], given[2]


def _broken(step: int, is_bfloat16: bool) -> TrainingError:
    ways_out = "lower --lr or raise --temperature"
    if is_bfloat16:
        ways_out += ", or say --precision float32"
    return TrainingError(f"the loss of step {step} is no number any more: {ways_out}")
