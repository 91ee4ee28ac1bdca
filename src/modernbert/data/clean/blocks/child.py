"""A work folder in, its stages done out: a process of its own, whose chatter goes to a file.

Its last line on standard output says how it went. It ends with whoever began it: when standard
input is closed.
"""

import json
import os
import signal
import sys
from pathlib import Path
from threading import Thread

from modernbert.base.errors import UserError
from modernbert.data.clean.blocks.executors import run_here, run_on_ray, submit
from modernbert.data.clean.blocks.stages import stages_of
from modernbert.data.clean.blocks.steps import refused
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.options import RunOptions
from modernbert.data.clean.plan import read_job


def main(work: Path, run: RunOptions) -> int:
    """Do or submit the stages of a folder; say what a user has to hear."""
    Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        _say({"scripts": [str(path) for path in _done(work, run)]})
    except (UserError, OSError) as error:
        told = refused(work, error)
        _say({"kind": type(told).__name__, "message": str(told)})
        return 1
    return 0


def _done(work: Path, run: RunOptions) -> list[Path]:
    job, folders = read_job(work), Folders(work)
    stages = stages_of(job, folders)
    if run.executor == "slurm":
        return submit(stages, folders, run.workers, run.slurm)
    act = run_on_ray if run.executor == "ray" else run_here
    act(stages, folders, run.workers)
    return []


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def _end_with_parent() -> None:
    # Not by sys.stdin: who reads that holds its lock, for which forked processes would wait.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
