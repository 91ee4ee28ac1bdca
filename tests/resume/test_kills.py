"""Processes that are killed, stopped or out of room, each taken up by another process."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from modernbert.train.checkpoint import found, read_state
from tests.runs import called, has_rows, outcome, started, struck

pytestmark = pytest.mark.slow


def is_saving(folder: Path) -> Callable[[], bool]:
    return lambda: any((folder / "checkpoints").glob(".partial-step-*"))


def finish(folder: Path) -> None:
    done = called("pretrain", "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert f"the model is in {folder / 'model'}" in done.stderr


def test_killed_in_a_step_twice(recorded, undisturbed, tmp_path):
    folder = tmp_path / "run"
    for rows, arguments in ((4, (recorded, "--out", folder)), (19, ("--resume", folder))):
        status, _ = struck(started("pretrain", *arguments), signal.SIGKILL, has_rows(folder, rows))
        assert status == -signal.SIGKILL
    finish(folder)
    assert outcome(folder) == undisturbed


def test_killed_in_a_save_twice(recorded, undisturbed, tmp_path):
    folder, arguments, hits = tmp_path / "run", (recorded, "--out", tmp_path / "run"), 0
    while hits < 2:
        # On a busy machine a kill may come after the save: then the next save is waited for.
        status, _ = struck(started("pretrain", *arguments), signal.SIGKILL, is_saving(folder))
        assert status == -signal.SIGKILL
        hits += is_saving(folder)()
        arguments = ("--resume", folder)
    finish(folder)
    assert outcome(folder) == undisturbed


def test_interrupted_and_terminated(recorded, undisturbed, tmp_path):
    folder = tmp_path / "run"
    for number, rows, arguments in (
        (signal.SIGINT, 4, (recorded, "--out", folder)),
        (signal.SIGTERM, 19, ("--resume", folder)),
    ):
        status, said = struck(started("pretrain", *arguments), number, has_rows(folder, rows))
        assert status == 130
        assert "stopping after this step (again to stop at once)" in said
        assert f"continue with: modernbert pretrain --resume {folder}" in said
        assert int(said.split("stopped after step ")[1].split(";")[0]) == newest(folder)
    finish(folder)
    assert outcome(folder) == undisturbed


def newest(folder: Path) -> int:
    return read_state(found(folder / "checkpoints")[-1]).progress.step


def test_out_of_room(recorded, undisturbed, tmp_path):
    folder = tmp_path / "run"
    # The weights fit; the optimizer's moments, twice as large, do not.
    room = 800_000
    for arguments in ((recorded, "--out", folder), ("--resume", folder)):
        done = called("pretrain", *arguments, limit_bytes=room)
        assert done.returncode == 2, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: there is no room: ")
        assert "Traceback" not in done.stderr
        assert [place.name for place in found(folder / "checkpoints")] == ["step-00000000"]
    finish(folder)
    assert outcome(folder) == undisturbed


def test_no_room_at_all(recorded, undisturbed, tmp_path):
    folder = tmp_path / "run"
    done = called("pretrain", recorded, "--out", folder, limit_bytes=600)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: there is no room: ")
    assert not (folder / "run.json").exists()
    done = called("pretrain", recorded, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert outcome(folder) == undisturbed
