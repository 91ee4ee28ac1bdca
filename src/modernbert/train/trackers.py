"""Numbers of steps in, points in a tracking service out: trackio, wandb or mlflow."""

import contextlib
import importlib.util
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from modernbert.base.errors import MachineError

_PROJECT = "modernbert"
_MOST_LETTERS = 500
"""Of a setting, as mlflow keeps it."""


class Tracker(Protocol):
    """A run as a service knows it."""

    kept: dict[str, str]
    """What it takes to find the run again."""
    reached: int | None
    """The last step that the service has; None where it does not say."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Send the numbers of a step."""

    def close(self, *, is_finished: bool) -> None:
        """Send what is left; the run may be opened again if it is not finished."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a service is told of a run."""

    folder: Path
    settings: Mapping[str, Any]
    """The configuration, in plain values."""
    kept: Mapping[str, str]
    """What a tracker of this run kept before; empty for a new one."""


class _Trackio:
    def __init__(self, told: Told) -> None:
        import trackio

        # It finds a run by its name alone, and other folders may be called the same.
        new = {"run": f"{told.folder.resolve().name}-{uuid.uuid4().hex[:6]}", "project": _PROJECT}
        self.kept = dict(told.kept) or new
        self.reached: int | None = None
        with contextlib.redirect_stdout(sys.stderr):
            self._run = trackio.init(
                project=self.kept["project"],
                name=self.kept["run"],
                config=dict(told.settings),
                resume="allow",
            )

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self, *, is_finished: bool) -> None:
        del is_finished
        with contextlib.redirect_stdout(sys.stderr):
            self._run.finish()


class _Wandb:
    def __init__(self, told: Told) -> None:
        import wandb

        self._run = wandb.init(
            project=told.kept.get("project") or os.environ.get("WANDB_PROJECT", _PROJECT),
            name=told.folder.resolve().name,
            id=told.kept.get("run"),
            dir=told.folder,
            config=dict(told.settings),
            resume="allow",
            settings=wandb.Settings(console="off"),
        )
        self.kept = {"run": self._run.id, "project": self._run.project or _PROJECT}
        # Offline it knows nothing of an earlier part, and the steps taken again are in both.
        self.reached: int | None = max(0, self._run.step - 1)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self, *, is_finished: bool) -> None:
        del is_finished
        self._run.finish()


class _Mlflow:
    def __init__(self, told: Told) -> None:
        import mlflow
        from mlflow.entities import Param

        # The place it was at first: without one given, mlflow takes the folder it is called in.
        place = told.kept.get("place") or mlflow.get_tracking_uri()
        self._client = mlflow.MlflowClient(tracking_uri=place)
        self.kept = dict(told.kept)
        self.reached: int | None = 0
        if run := told.kept.get("run"):
            self._client.update_run(run, status="RUNNING")
            sent = self._client.get_metric_history(run, "loss")
            self.reached = max((point.step for point in sent), default=0)
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        run = self._client.create_run(experiment, run_name=told.folder.resolve().name).info.run_id
        self.kept = {"run": run, "place": place}
        settings = [Param(key, str(value)[:_MOST_LETTERS]) for key, value in flat(told.settings)]
        self._client.log_batch(run, params=settings)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(_safe(name), value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self.kept["run"], metrics=points)

    def close(self, *, is_finished: bool) -> None:
        self._client.set_terminated(self.kept["run"], "FINISHED" if is_finished else "KILLED")


TRACKERS: dict[str, Callable[[Told], Tracker]] = {
    "trackio": _Trackio,
    "wandb": _Wandb,
    "mlflow": _Mlflow,
}
"""By the name of the package, of the extra that installs it, and of the option --track."""


def need(names: Sequence[str]) -> None:
    """See that trackers can be imported, before hours of training.

    Raises:
        MachineError: one is not installed.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MachineError(
                f"--track {name} needs the package {name}, which is not installed: "
                f"pip install 'modernbert[{name}]', or leave {name} out of --track"
            )


def flat(value: Any, place: str = "") -> list[tuple[str, Any]]:
    """Give each value its place, in the words of the command line: phases.0.peak_lr."""
    if isinstance(value, Mapping):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        return [(place, value)]
    return [pair for name, item in items for pair in flat(item, f"{place}.{name}".strip("."))]


def _safe(name: str) -> str:
    """Return a name with nothing in it that mlflow refuses, such as a source's + or brackets."""
    return "".join(each if each.isalnum() or each in "_-./ " else "_" for each in name)
