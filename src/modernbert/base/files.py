"""Files that are whole or absent: written aside, flushed to disk, then renamed into place."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modernbert.base.errors import MachineError, UserError

_ASIDE = ".partial-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Libraries written in Rust, such as safetensors, put the system's error into their text alone.
_RUST_ERROR = re.compile(r"(?:os error|Os \{ code:) (\d+)")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `path` when the block ends well, else it is removed.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f"{_ASIDE}{path.name}")
    try:
        with explained(path):
            yield aside
            _settle(aside)
            os.replace(aside, path)
            _flush(path.parent)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` when the block ends well, else it goes.

    An older folder at `path` is replaced. A process killed inside the block leaves only a
    hidden folder, which `sweep` removes.

    Raises:
        MachineError: the disk is full or the parent folder cannot be written.
    """
    aside = path.with_name(f"{_ASIDE}{path.name}")
    try:
        with explained(path):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            yield aside
            for inside in aside.rglob("*"):
                _settle(inside)
            _flush(aside)
            if path.exists() and not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            remove_folder(path)
            os.replace(aside, path)
            _flush(path.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def filled_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; its files move into `path` when the block ends well.

    Files of `path` with other names stay; folders inside are replaced whole. Each file is whole or
    absent; a process killed among the moves leaves some files new and some old.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    make_folder(path)
    with TemporaryDirectory(dir=path, prefix=_ASIDE) as place, explained(path):
        yield Path(place)
        for inside in Path(place).rglob("*"):
            _settle(inside)
        for entry in Path(place).iterdir():
            if entry.is_dir():
                remove_folder(path / entry.name)
            os.replace(entry, path / entry.name)
        _flush(path)


def append(path: Path, text: str) -> None:
    """Write lines at the end of a file; a line there that has no end gets one first.

    Raises:
        MachineError: the disk is full, and the file may end with a part of the text.
    """
    with explained(path), path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            text = text if file.read() == b"\n" else f"\n{text}"
        file.write(text.encode())


def make_folder(path: Path) -> None:
    """Make a folder and those above it; one that is there stays as it is.

    Raises:
        MachineError: it cannot be made.
    """
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def promised_folder(path: Path) -> Iterator[None]:
    """Make a folder before the work whose result goes there; if the work fails, leave none.

    Raises:
        MachineError: it cannot be made.
    """
    is_new = not path.exists()
    make_folder(path)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # what was already written there stays
                path.rmdir()
        raise


@contextmanager
def promised_rows(path: Path) -> Iterator[None]:
    """See that rows can be appended to a file before the work that makes them; leave no empty one.

    Raises:
        MachineError: its folder cannot be made, or it cannot be written.
    """
    with promised_folder(path.parent):
        append(path, "")
        try:
            yield
        finally:
            _remove_empty(path)


def _remove_empty(path: Path) -> None:
    with suppress(FileNotFoundError):  # another process may have removed it
        if not path.stat().st_size:
            path.unlink()


def remove_folder(path: Path) -> None:
    """Delete a folder so that a half-deleted one never carries its name."""
    if path.exists():
        doomed = path.with_name(f"{_ASIDE}doomed-{path.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(path, doomed)
        shutil.rmtree(doomed)


def is_aside(path: Path) -> bool:
    """Return whether a file or folder was not whole yet when its process ended."""
    return path.name.startswith(_ASIDE)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder."""
    for leftover in folder.glob(f"{_ASIDE}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def digest(data: bytes) -> str:
    """Return a short name of some bytes: equal bytes, equal name."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def hashed(text: str) -> int:
    """Return a number that stands for a text: 8 bytes of its BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def digest_of(path: Path) -> str:
    """Return the digest of a file's bytes, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def folder_size(path: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _settle(path: Path) -> None:
    """Put on disk what was written, and let those read it who may read any new file."""
    # Libraries that write aside themselves, as safetensors does, leave files to their owner alone.
    if path.is_file():
        with suppress(OSError):  # a file system without such modes
            path.chmod(stat.S_IMODE(path.stat().st_mode) | (0o666 & ~_umask()))
    _flush(path)


@lru_cache(maxsize=1)
def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say in a sentence why the system refused to write a path."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise _refusal(path, error.errno, error.strerror or str(error)) from error
    except Exception as error:
        if not (number := _RUST_ERROR.search(str(error))):
            raise
        raise _refusal(path, int(number[1]), str(error)) from error


def _refusal(path: Path, number: int | None, reason: str) -> MachineError:
    if number in (errno.EEXIST, errno.ENOTDIR) and _nearest(path).is_file():
        reason = f"{_nearest(path)} is a file and no folder: give another name"
    if number not in _FULL:
        return MachineError(f"{path} cannot be written: {reason}")
    free = f"{shutil.disk_usage(_nearest(path)).free / 1e6:.0f} MB are free"
    if number == errno.EFBIG:
        free += ", and a file may not be as large: see `ulimit -f`"
    return MachineError(
        f"there is no room: {path} was not written ({free}); "
        "make room and repeat the command, or go on with --resume where a command has it: what was "
        "saved is intact"
    )


def _nearest(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
