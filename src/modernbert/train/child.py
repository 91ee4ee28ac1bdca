"""A run of a sweep in a process of its own: the file that asks for it in, its folder out.

`python -m modernbert.train.child FILE`; what it says goes to its output, for a log.
"""

import os
import signal
import sys
from pathlib import Path
from threading import Thread

from modernbert.base import files
from modernbert.base.errors import TrainingError, UserError
from modernbert.base.log import say
from modernbert.train.description import NAME
from modernbert.train.finish import finish
from modernbert.train.processes import BROKEN, STOPPED, Job, read_job
from modernbert.train.tune import tune
from modernbert.train.tuning import Tuning, create, resume


def main(path: Path) -> int:
    """Run a job to its end and return the exit status."""
    Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        job = read_job(path)
        tuning = _opened(job)
        if not tune(tuning):
            return STOPPED[0]
        finish(tuning)
        files.remove_folder(job.folder / "checkpoints")
    except UserError as error:
        say(f"error: {' '.join(str(error).split())}")
        return BROKEN if isinstance(error, TrainingError) else 2
    return 0


def _opened(job: Job) -> Tuning:
    if (job.folder / NAME).exists():
        return resume(job.folder)
    if job.folder.is_dir():
        files.sweep(job.folder)
    return create(job.config, job.start, job.folder)


def _end_with_the_parent() -> None:
    """Save and stop when whoever started this process is gone, and its end of the pipe with it."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
