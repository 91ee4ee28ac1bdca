import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from modernbert.base.errors import MachineError
from modernbert.data.cache import Cache, default_folder

CHILD = """
import sys, time
from pathlib import Path
from modernbert.data.cache import Cache
folder, how = Path(sys.argv[1]), sys.argv[2]
def fill(file):
    file.write(b"x" * 500)
    file.flush()
    print("half", flush=True)
    if how == "hang":
        time.sleep(60)
    file.write(b"x" * 500)
for number in range(1 if how == "hang" else 30):
    held = Cache(folder, 4500).mapped(folder / f"{number % 10}.ids", 1000, fill)
    assert held is None or held[:] == b"x" * 1000
    del held
"""


def writing(data, seen=None):
    def fill(file):
        if seen is not None:
            seen.append(data)
        file.write(data)

    return fill


def used(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def names(folder):
    return sorted(path.name for path in folder.rglob("*.ids"))


def test_a_file_is_filled_once(tmp_path):
    cache, seen = Cache(tmp_path, 1000), []
    for _ in range(2):
        assert cache.mapped(tmp_path / "s" / "a.ids", 3, writing(b"abc", seen))[:] == b"abc"
    assert seen == [b"abc"]


def test_what_was_opened_longest_ago_goes_first_and_the_bound_holds(tmp_path):
    cache = Cache(tmp_path, 250)
    for number in range(2):
        cache.mapped(tmp_path / f"{number}.ids", 100, writing(bytes(100)))
        time.sleep(0.01)
    cache.mapped(tmp_path / "0.ids", 100, writing(b"never"))  # opened again
    for number in range(2, 9):
        time.sleep(0.01)
        cache.mapped(tmp_path / f"{number}.ids", 100, writing(bytes(100)))
        assert used(tmp_path) <= 250
        if number == 2:
            assert names(tmp_path) == ["0.ids", "2.ids"]
    assert names(tmp_path) == ["7.ids", "8.ids"]


def test_what_is_being_read_stays_and_what_is_not_enough_room_is_left_alone(tmp_path):
    cache = Cache(tmp_path, 250)
    held = cache.mapped(tmp_path / "0.ids", 100, writing(b"0" * 100))
    cache.mapped(tmp_path / "1.ids", 100, writing(bytes(100)))
    assert cache.mapped(tmp_path / "big.ids", 200, writing(bytes(200))) is None
    assert names(tmp_path) == ["0.ids", "1.ids"]
    assert cache.mapped(tmp_path / "2.ids", 150, writing(bytes(150)))[:] == bytes(150)
    assert names(tmp_path) == ["0.ids", "2.ids"]
    assert held[:] == b"0" * 100
    assert cache.mapped(tmp_path / "huge.ids", 251, writing(b"")) is None


def test_small_files_are_counted_and_stay(tmp_path):
    (tmp_path / "a.index").write_bytes(bytes(200))
    cache = Cache(tmp_path, 250)
    assert cache.mapped(tmp_path / "a.ids", 100, writing(bytes(100))) is None
    assert cache.mapped(tmp_path / "a.ids", 50, writing(bytes(50))) is not None


def test_a_file_of_another_size_is_filled_anew(tmp_path):
    (tmp_path / "a.ids").write_bytes(b"half")
    assert Cache(tmp_path, 100).mapped(tmp_path / "a.ids", 3, writing(b"abc"))[:] == b"abc"


def test_a_filling_that_fails_leaves_nothing(tmp_path):
    def fill(file):
        file.write(b"half")
        raise MachineError("away")

    with pytest.raises(MachineError, match="away"):
        Cache(tmp_path, 100).mapped(tmp_path / "a.ids", 8, fill)
    assert (names(tmp_path), used(tmp_path)) == ([], 0)


def test_a_killed_process_leaves_no_half_file(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path, "hang"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "half\n"
    cache = Cache(tmp_path, 1500)
    # While it lives, the whole file is counted and stays.
    assert (names(tmp_path), used(tmp_path)) == ([".partial-0.ids"], 1000)
    assert cache.mapped(tmp_path / "b.ids", 1000, writing(bytes(1000))) is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert cache.mapped(tmp_path / "b.ids", 1000, writing(bytes(1000))) is not None
    assert names(tmp_path) == ["b.ids"]
    assert cache.mapped(tmp_path / "0.ids", 1000, writing(b"y" * 1000))[:] == b"y" * 1000


def test_many_threads_want_one_file(tmp_path):
    """Who waits for a file that another fills must not wait until nobody reads it."""
    cache, seen, found = Cache(tmp_path, 1000), [], []

    def fill(file):
        time.sleep(0.05)
        seen.append(1)
        file.write(b"abc")

    def read():
        found.append(cache.mapped(tmp_path / "a.ids", 3, fill))

    threads = [threading.Thread(target=read, daemon=True) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [each[:] for each in found] == [b"abc"] * 12
    assert seen == [1]


@pytest.mark.slow
def test_processes_share_a_cache(tmp_path):
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, tmp_path, "go"], stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    most = 0
    while any(child.poll() is None for child in children):
        with (tmp_path / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # nobody begins a file meanwhile
            most = max(most, used(tmp_path))
    assert [child.returncode for child in children] == [0] * 3
    assert 0 < most <= 4500
    assert not list(tmp_path.glob(".partial*"))


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    for name in ("MODERNBERT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "modernbert"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_folder() == tmp_path / "x" / "modernbert"
    monkeypatch.setenv("MODERNBERT_CACHE", str(tmp_path / "y"))
    assert default_folder() == tmp_path / "y"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MachineError, match="cannot be written"):
        Cache(tmp_path / "cache", 100)
