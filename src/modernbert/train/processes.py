"""Fine-tunings in, each run in a process of its own, some at a time; what came of each out.

DIR/NAME.json  what a run is asked to do
DIR/NAME.log   what it says
DIR/NAME/      its folder; finished when it has a summary
DIR/NAME.failed  the sentence that it ended with, where its numbers broke
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from modernbert.base import files, machine
from modernbert.base.errors import ConfigError
from modernbert.base.log import Meter, meter, say
from modernbert.base.records import from_plain, to_plain
from modernbert.train.checkpoint import FORMAT, read_record
from modernbert.train.stop import StopRequest
from modernbert.train.summary import Summary, read_summary
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start

BROKEN = 3
"""Exit status of a run whose numbers broke; the same would happen again."""

STOPPED = (130, -signal.SIGTERM)
"""Exit statuses of a run that was told to stop: after it saved, or before it began."""

_PATIENCE_S = 0.05


@dataclass(frozen=True, slots=True)
class Job:
    """One fine-tuning to be run."""

    folder: Path
    start: Start
    config: TuneConfig

    @property
    def name(self) -> str:
        """Return what it is called aloud: its folder, and the one that holds it."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    def beside(self, ending: str) -> Path:
        """Return a file next to the folder, of its name."""
        return self.folder.with_name(f"{self.folder.name}{ending}")


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a job."""

    job: Job
    summary: Summary | None
    failure: str = ""
    """Where nothing came of it: why, in a sentence."""


@dataclass(frozen=True, slots=True)
class _Running:
    job: Job
    slot: int
    process: subprocess.Popen[bytes]


def default_jobs(device: str) -> int:
    """Return how many runs go at once unasked: one on a CPU, one a GPU elsewhere."""
    return max(1, torch.cuda.device_count()) if device in ("auto", "cuda") else 1


def run_jobs(jobs: Sequence[Job], at_once: int) -> list[Ended] | None:
    """Run what is not finished yet, and return what came of all, in order; None when interrupted.

    A job that was begun goes on where it was. One that fails does not stop the others. Ctrl-C lets
    the runs in hand save, then ends.

    Raises:
        ConfigError: a folder was begun with other settings.
        MachineError: a folder cannot be written.
    """
    for job in jobs:
        _note(job)
    left = [job for job in jobs if _ended(job) is None]
    if left:
        _say_plan(len(jobs), len(left), at_once, left[0].config)
        with StopRequest() as stop, meter("runs", len(jobs)) as bar:
            _Pool(at_once, bar, len(jobs) - len(left)).run(left, stop)
        if stop.is_made:
            return None
    return [_ended(job) or Ended(job, None, _last_line(job)) for job in jobs]


def read_job(path: Path) -> Job:
    """Return what a file beside a run's folder asks for.

    Raises:
        CheckpointError: it is broken.
        ConfigError: it has other keys than this version knows.
    """
    told = read_record(path)
    start = from_plain(Start, told.get("start"), f"{path}: start")
    config = from_plain(TuneConfig, told.get("config"), f"{path}: config")
    return Job(path.with_suffix(""), start, config)


class _Pool:
    """Processes that run side by side."""

    def __init__(self, at_once: int, bar: Meter, done: int) -> None:
        self._free, self._at_once = list(range(at_once))[::-1], at_once
        self._running: list[_Running] = []
        self._bar, self._done = bar, done

    def run(self, jobs: Sequence[Job], stop: StopRequest) -> None:
        waiting, is_told = list(jobs)[::-1], False
        try:
            while self._running or (waiting and not stop.is_made):
                while waiting and self._free and not stop.is_made:
                    self._start(waiting.pop())
                if stop.is_made and not is_told:
                    # Once: a second signal would end them before they have saved.
                    self._tell(signal.SIGTERM)
                    is_told = True
                time.sleep(_PATIENCE_S)
                self._collect()
        finally:
            self._tell(signal.SIGKILL)
            for each in self._running:
                each.process.wait()

    def _start(self, job: Job) -> None:
        slot = self._free.pop()
        asked = [sys.executable, "-m", "modernbert.train.child", str(job.beside(".json"))]
        with files.explained(job.beside(".log")), job.beside(".log").open("ab") as log:
            process = subprocess.Popen(
                asked,
                # It hears its end when we are gone, however we went.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(slot, self._at_once, job.config.device),
                # Ctrl-C reaches us alone, and we tell them.
                start_new_session=True,
            )
        self._running.append(_Running(job, slot, process))

    def _collect(self) -> None:
        for each in [one for one in self._running if one.process.poll() is not None]:
            self._running.remove(each)
            self._free.append(each.slot)
            if each.process.stdin is not None:
                each.process.stdin.close()
            self._report(each.job, each.process.returncode)

    def _report(self, job: Job, status: int) -> None:
        if status == BROKEN:
            files.write_json(job.beside(".failed"), _last_line(job))
        ended = _ended(job)
        self._done += ended is not None
        if ended and ended.summary:
            measured = ended.summary.dev[ended.summary.decisive]
            say(f"{job.name}: {ended.summary.decisive} {measured:.4f}")
        elif status not in STOPPED:
            say(f"{job.name} failed: {_last_line(job)}")
        self._bar.at(self._done)

    def _tell(self, number: signal.Signals) -> None:
        for each in self._running:
            if each.process.poll() is None:
                each.process.send_signal(number)


def _note(job: Job) -> None:
    """Write what a run is asked to do, and refuse where something else was asked before."""
    path = job.beside(".json")
    if path.exists():
        if read_job(path) != job:
            raise ConfigError(
                f"{job.folder} was begun with another model, data or options: give another folder"
            )
        return
    files.make_folder(path.parent)
    asked = {"start": to_plain(job.start), "config": to_plain(job.config)}
    files.write_json(path, {"format": FORMAT, **asked})


def _ended(job: Job) -> Ended | None:
    summary = read_summary(job.folder)
    if summary is not None:
        return Ended(job, summary)
    failed = job.beside(".failed")
    return Ended(job, None, str(files.read_json(failed))) if failed.exists() else None


def _last_line(job: Job) -> str:
    log = job.beside(".log")
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip().removeprefix("error: ") if lines else "it ended without a word"


def _say_plan(total: int, left: int, at_once: int, config: TuneConfig) -> None:
    is_cuda = config.device in ("auto", "cuda") and torch.cuda.is_available()
    share = "a GPU each" if is_cuda else f"{config.threads or _share(at_once)} threads each"
    over = f", {total - left} are over" if left < total else ""
    say(f"{total} runs{over}; {at_once} at a time, {share} (--jobs)")


def _share(at_once: int) -> int:
    """Return the threads of one process: an equal part of the cores, or fewer if so asked."""
    share = max(1, machine.cores() // at_once)
    return min(int(os.environ.get("OMP_NUM_THREADS") or share), share)


def _environment(slot: int, at_once: int, device: str) -> Mapping[str, str]:
    """Give each process its share of the cores, or a GPU of its own."""
    given = os.environ | {"OMP_NUM_THREADS": str(_share(at_once))}
    number = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    if number:
        given["CUDA_VISIBLE_DEVICES"] = gpu_of(slot, number, given.get("CUDA_VISIBLE_DEVICES", ""))
    return given


def gpu_of(slot: int, number: int, named: str) -> str:
    """Return the one GPU that a process sees, of those that this one sees, in turn."""
    there = named.split(",") if named else [str(each) for each in range(number)]
    return there[slot % len(there)]
