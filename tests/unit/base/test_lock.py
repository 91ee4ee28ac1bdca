"""One process at a time in a folder, whatever became of the file that says so."""

import os

import pytest

from modernbert.base import lock
from modernbert.base.errors import ConfigError
from modernbert.base.lock import LOCK, alone, held


def test_a_folder_is_held_by_one(tmp_path):
    with held(tmp_path, "trained"), pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        held(tmp_path, "trained")
    held(tmp_path, "trained").close()


@pytest.mark.parametrize("error", [None, OSError])
def test_nothing_is_left_of_it(tmp_path, error):
    try:
        with alone(tmp_path, "written to"):
            assert [path.name for path in tmp_path.iterdir()] == [LOCK]
            if error is not None:
                raise error
    except OSError:
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_taken_away_meanwhile_holds_nothing(tmp_path, monkeypatch):
    locked = lock.fcntl.flock

    def late(handle, how):
        if (tmp_path / LOCK).exists() and not replaced:
            # As where the one before was just done, and a third one came.
            (tmp_path / LOCK).unlink()
            replaced.append((tmp_path / LOCK).open("a+"))
            locked(replaced[0], how)
        locked(handle, how)

    replaced = []
    monkeypatch.setattr(lock.fcntl, "flock", late)
    with pytest.raises(ConfigError, match="is being written to by another process: stop that one"):
        held(tmp_path, "written to")
    replaced[0].close()
    held(tmp_path, "written to").close()
