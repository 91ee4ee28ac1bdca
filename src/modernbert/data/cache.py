"""A folder and a number of bytes in: room for files of a store, shared by processes of a machine.

A file is whole or absent. Who reads one holds it by a lock that lives as long as the mapping, so
what is read is never removed, and what is counted is what the disk holds.
"""

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, final

from modernbert.base.files import explained, make_folder

_LOCK = ".lock"
_SUFFIX = ".ids"
_ATTEMPTS = 3


def default_folder() -> Path:
    """Return where caches of this package lie: MODERNBERT_CACHE, or the user's cache folder."""
    if given := os.environ.get("MODERNBERT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modernbert"


@final
class Cache:
    """At most so many bytes in a folder; what was opened longest ago goes first.

    Shards alone make room for others. Indexes and tokenizers are small: they are counted, and stay.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Make the folder.

        Raises:
            MachineError: it cannot be made.
        """
        self.folder = folder
        self._most_bytes = most_bytes
        make_folder(folder)

    def mapped(self, path: Path, size: int, fill: Callable[[BinaryIO], None]) -> mmap.mmap | None:
        """Return a file's bytes, from disk; one that is absent is filled first.

        None where there is no room for it beside what is being read: nothing was removed then.

        Raises:
            MachineError: the disk is full, or `fill` failed.
        """
        for _ in range(_ATTEMPTS):
            if (found := _opened(path, size)) is not None:
                return found
            if not self._filled(path, size, fill):
                return None
        return None  # others take it away faster than it can be opened

    def _filled(self, path: Path, size: int, fill: Callable[[BinaryIO], None]) -> bool:
        """Fill a file, or wait until another process has; return whether there was room."""
        aside = path.with_name(f".partial-{path.name}")
        # A lock of its own: who waits for that of the file would wait until nobody reads it.
        with locked(path.with_suffix(_LOCK)), explained(path):
            if path.exists():
                return True
            if (file := self._reserved(aside, size)) is None:
                return False
            with file:
                try:
                    fill(file)
                    file.flush()
                    os.replace(aside, path)
                except BaseException:
                    aside.unlink()
                    raise
        return True

    def _reserved(self, aside: Path, size: int) -> BinaryIO | None:
        """Return a file that counts with all its bytes from now on; None without room for it."""
        with locked(self.folder / _LOCK):
            if not self._has_room(size):
                return None
            file = aside.open("w+b")
            fcntl.flock(file, fcntl.LOCK_EX)  # so that nobody takes it for a killed process'
            file.truncate(size)
        return file

    def _has_room(self, more: int) -> bool:
        """Remove what is needed, oldest first; nothing where that would not be enough."""
        # The half of a killed process is among what goes.
        files = [(path, found) for path in self.folder.rglob("*") if (found := _stat(path))]
        too_many = sum(found.st_size for _, found in files) + more - self._most_bytes
        chosen: list[tuple[Path, BinaryIO]] = []
        try:
            for path, found in sorted(files, key=lambda each: each[1].st_mtime_ns):
                if too_many <= 0:
                    break
                if path.suffix == _SUFFIX and (handle := _unused(path)):
                    chosen.append((path, handle))
                    too_many -= found.st_size
            if too_many <= 0:
                for path, _ in chosen:
                    path.unlink(missing_ok=True)
            return too_many <= 0
        finally:
            for _, handle in chosen:
                handle.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file meanwhile, once whoever holds it now is done.

    Raises:
        MachineError: it cannot be written.
    """
    make_folder(path.parent)
    with explained(path):
        handle = path.open("ab")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _opened(path: Path, size: int) -> mmap.mmap | None:
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            if not _is_at(handle, path):
                return None  # removed since it was opened
            if os.fstat(handle.fileno()).st_size != size:
                path.unlink()
                return None
            with suppress(OSError):  # a folder that others wrote may still be read
                os.utime(path)
            # The mapping keeps a copy of the handle, and with it the lock.
            return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        return None


def _unused(path: Path) -> BinaryIO | None:
    """Return a file that nobody reads or fills, held; of a killed process its half too."""
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _is_at(handle: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    return False


def _stat(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):  # another process may have renamed it
        found = path.stat()
        return found if path.is_file() else None
    return None
