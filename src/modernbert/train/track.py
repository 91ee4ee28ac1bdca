"""A run in, hooks that tell trackers of it out. A tracker that fails never ends the training."""

import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from modernbert.base import dist, files
from modernbert.base.errors import MachineError, reason_of
from modernbert.base.log import say
from modernbert.base.records import to_plain
from modernbert.train.checkpoint import FORMAT, read_record
from modernbert.train.events import EVENTS
from modernbert.train.hooks import Hook, is_due
from modernbert.train.metrics import StepRow
from modernbert.train.rows import EVALUATIONS, steps_in
from modernbert.train.run import Run
from modernbert.train.trackers import TRACKERS, Told, Tracker, need

_KEPT = "trackers.json"
_MEASURED = ("loss", "masked_accuracy", "most_frequent_token_accuracy")


def tracked(run: Run) -> list[Hook]:
    """Open what `--track` asked for; of several ranks the first alone has it.

    Raises:
        MachineError: a package is not installed, or a new run's tracker cannot be opened.
    """
    if dist.rank() or not run.config.track:
        return []
    need(run.config.track)
    hooks: list[Hook] = []
    with ExitStack() as undo:
        for name in dict.fromkeys(run.config.track):
            if hook := _opened(run, name):
                hooks.append(hook)
                undo.callback(hook.close)
        undo.pop_all()
    return hooks


class Tracked:
    """Sends each step's numbers from a thread of its own, so that no step waits for a network."""

    def __init__(self, run: Run, name: str, tracker: Tracker, *, was_known: bool) -> None:
        self._run = run
        self._name = name
        self._tracker = tracker
        told = _taken_before(run.folder) if was_known else 0
        self._known = told if tracker.reached is None else tracker.reached
        self._has_failed = False
        self._line = ThreadPoolExecutor(1, thread_name_prefix=name)

    def after_step(self, row: StepRow) -> None:
        """Send the row, and the evaluation that followed it; not again what was sent before."""
        heldout = self._heldout(row)
        # A run that was killed may have written a step and not come to measure it.
        if row.step > self._known or (row.step == self._known and heldout):
            self._line.submit(self._send, _numbers(row) | heldout, row.step)

    def close(self) -> None:
        """Send what is left."""
        self._line.shutdown()
        is_finished = self._run.progress.phase >= len(self._run.config.phases)
        try:
            self._tracker.close(is_finished=is_finished)
        except Exception as error:
            self._give_up(error)

    def _heldout(self, row: StepRow) -> dict[str, float]:
        config = self._run.config
        if not config.evaluate_tokens or not is_due(row, config.evaluate_every_tokens):
            return {}
        return {
            f"heldout/{each['source']}/{name}": each[name]
            for each in steps_in(self._run.folder / EVALUATIONS)
            if each["step"] == row.step
            for name in _MEASURED
        }

    def _send(self, numbers: Mapping[str, float], step: int) -> None:
        if self._has_failed:
            return
        try:
            self._tracker.log(numbers, step)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            say(
                f"warning: {self._name} failed ({reason_of(error)}) and gets no more numbers; "
                "training goes on, and all of them are in metrics.jsonl"
            )


def _opened(run: Run, name: str) -> Tracked | None:
    """Open a tracker; one that fails keeps a new run from starting, and no other from going on."""
    place = run.folder / _KEPT
    kept = read_record(place)["runs"] if place.exists() else {}
    settings = to_plain(run.config)
    try:
        tracker = TRACKERS[name](Told(run.folder, settings, kept.get(name, {})))
    except Exception as error:
        if not run.progress.step:
            raise MachineError(
                f"{name} cannot be opened ({reason_of(error)}): mend that and go on with "
                f"`modernbert pretrain --resume {shlex.quote(str(run.folder))}`, or start a run "
                f"without --track {name}"
            ) from error
        say(f"warning: {name} cannot be opened ({reason_of(error)}); training goes on without it")
        return None
    _keep(place, kept | {name: tracker.kept})
    return Tracked(run, name, tracker, was_known=name in kept)


def _keep(place: Path, runs: dict[str, Any]) -> None:
    files.write_json(place, {"format": FORMAT, "runs": runs})


def _numbers(row: StepRow) -> dict[str, float]:
    plain = to_plain(row)
    return {
        name: value
        for name, value in plain.items()
        if name != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _taken_before(folder: Path) -> int:
    """Return the last step that any process took, also one whose steps are taken again."""
    resumes = [row for row in steps_in(folder / EVENTS) if row.get("kind") == "resume"]
    return max((row["step"] + row.get("repeated", 0) for row in resumes), default=0)
