"""The command line under torchrun, and what must not depend on how many processes there are."""

import json
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.runs import environment, rows_of

EXACT = ("step", "tokens", "phase", "lr", "fill", "batch_tokens")
ROUNDED = ("loss", "masked_accuracy", "grad_norm")
# Sums of float32 in another order differ by about 1e-7; a step later weights do, and steep places
# of a loss make more of it. What a wrong mean, mask or dropout changes is a thousand times that.
NEAR = {"rel": 1e-4, "abs": 1e-6}


def torchrun(processes: int, *options: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    return [*launcher, *options, "-m", "modernbert"]


def together(
    processes: int, *arguments: str | Path, options: tuple[str, ...] = (), prefix: str = ""
) -> subprocess.CompletedProcess:
    """Run a command in several processes and wait; a shell's `prefix` may limit them."""
    words = [*torchrun(processes, *options), *map(str, arguments)]
    if prefix:
        words = ["bash", "-c", f'{prefix}; exec "$@"', "bash", *words]
    return subprocess.run(
        words, capture_output=True, text=True, env=environment(), check=False, timeout=300
    )


def begun(
    processes: int, *arguments: str | Path, options: tuple[str, ...] = ()
) -> subprocess.Popen:
    """Start a command in several processes."""
    words = [*torchrun(processes, *options), *map(str, arguments)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment())


def workers(launcher: subprocess.Popen) -> list[int]:
    """Return the processes that a launcher has at this moment."""
    found = []
    for place in Path(f"/proc/{launcher.pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
            found += [int(number) for number in place.read_text().split()]
    return found


def root_cause(said: str) -> tuple[int, str]:
    """Return the rank that the launcher says failed first, and what it says of it."""
    part = said.split("Root Cause (first observed failure):")[1]
    return int(re.search(r"rank +: (\d+)", part)[1]), part.split("traceback :")[1].split("=====")[0]


def same_to_rounding(ours: Path, theirs: Path) -> None:
    """Compare the numbers of two runs' steps, evaluations and weights."""
    rows, others = (rows_of(folder / "metrics.jsonl") for folder in (ours, theirs))
    assert [tuple(row[name] for name in EXACT) for row in rows] == [
        tuple(row[name] for name in EXACT) for row in others
    ]
    for name in ROUNDED:
        assert [row[name] for row in rows] == pytest.approx([row[name] for row in others], **NEAR)
    for mine, other in zip(
        *(rows_of(folder / "evaluations.jsonl") for folder in (ours, theirs)), strict=True
    ):
        assert mine["loss"] == pytest.approx(other["loss"], **NEAR)
        assert (mine["hidden"], mine["source"]) == (other["hidden"], other["source"])
    mine, other = (load_file(folder / "model" / "model.safetensors") for folder in (ours, theirs))
    assert mine.keys() == other.keys()
    for name, weight in mine.items():
        assert (weight - other[name]).abs().max() < 1e-3 * weight.std() + 1e-4, name


def ended_by(process: subprocess.Popen, number: signal.Signals) -> str:
    """Send a signal to the launcher and return what it and its processes said."""
    process.send_signal(number)
    return process.communicate(timeout=90)[1]


def step_of(place: Path) -> int:
    return json.loads((place / "trainer" / "state.json").read_text())["progress"]["step"]
