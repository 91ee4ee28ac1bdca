"""A work folder and who does the work in, a process that does it out, watched until it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from modernbert.base import errors
from modernbert.base.errors import MachineError, UserError
from modernbert.base.files import read_json
from modernbert.base.log import Meter, meter
from modernbert.base.machine import cores
from modernbert.base.records import to_plain
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.options import RunOptions

LOG = "log.txt"
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 15

Counts = Sequence[tuple[str, int]]
"""Each stage and its tasks."""


def run_stages(work: Path, run: RunOptions, counts: Counts) -> list[Path]:
    """Do what is not done yet, or submit it; return the scripts of jobs that were written.

    Raises:
        UserError: whatever a task refuses.
        MachineError: the process ended without a word; its log is named.
    """
    if run.executor != "slurm":
        run = replace(run, workers=run.workers or cores())
    # A refusal of an earlier run says nothing of this one.
    for path in work.glob("**/refused.json"):
        path.unlink()
    total = sum(number for _, number in counts)
    with _begun(work, run) as child, meter("cleaning", total) as progress:
        while child.poll() is None:
            _show(progress, work, counts)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_LOOK_SECONDS)
        assert child.stdout is not None
        said = _last_word(child.stdout.read())
    return [Path(path) for path in _without_refusal(said, work)["scripts"]]


def num_done(work: Path, stage: str) -> int:
    """Return how many tasks of a stage are done."""
    return sum(1 for _ in (Folders(work).logs(stage) / "completions").glob("*"))


def is_done(work: Path, counts: Counts) -> bool:
    """Return whether all tasks of all stages are done."""
    return all(num_done(work, stage) >= number for stage, number in counts)


@contextmanager
def _begun(work: Path, run: RunOptions) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "modernbert.data.clean.blocks"]
    command += [str(work.resolve()), json.dumps(to_plain(run))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # Without the bars of datatrove; its other lines go to the log.
    surroundings = os.environ | {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
    with (work / LOG).open("ab") as log:
        child = subprocess.Popen(
            command, **pipes, stderr=log, env=surroundings, start_new_session=True
        )
    try:
        yield child
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the process and those that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE_SECONDS)
    for pipe in (child.stdin, child.stdout):
        assert pipe is not None
        pipe.close()


def _show(progress: Meter, work: Path, counts: Counts) -> None:
    done = [(stage, num_done(work, stage), number) for stage, number in counts]
    at = next((each for each in done if each[1] < each[2]), done[-1])
    note = f"{at[0].replace('-', ' ')}, {at[1]} of {at[2]} tasks"
    progress.at(sum(number for _, number, _ in done), note)


def _last_word(said: bytes) -> dict[str, Any]:
    lines = said.decode(errors="replace").splitlines()
    with suppress(ValueError, IndexError):
        found = json.loads(lines[-1])
        return found if isinstance(found, dict) else {}
    return {}


def _without_refusal(said: dict[str, Any], work: Path) -> dict[str, Any]:
    if "scripts" in said:
        return said
    # What a task itself wrote says more than that it was lost.
    written = [*work.glob("tallies/*/refused.json")]
    if written:
        said = read_json(written[0])
    if "message" not in said:
        raise MachineError(
            f"the work ended without a result: see {work / LOG}, and repeat the command"
        )
    kind: type[UserError] = vars(errors).get(said["kind"], MachineError)
    raise kind(said["message"])
