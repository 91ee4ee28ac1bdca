"""A folder in, the right to write in it out: one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from modernbert.base import files
from modernbert.base.errors import ConfigError

LOCK = ".lock"


def held(folder: Path, being: str) -> TextIO:
    """Hold a folder until what is returned is closed, or the process ends in whatever way.

    Raises:
        ConfigError: another process holds it; `being` says what is done to the folder.
        MachineError: the folder cannot be written.
    """
    with ExitStack() as undo, files.explained(folder / LOCK):
        handle = undo.enter_context((folder / LOCK).open("a+"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            # One that has just begun has not written its number yet.
            by = f"process {number}" if (number := handle.read().strip()) else "another process"
            raise ConfigError(f"{folder} is being {being} by {by}: stop that one first") from error
        if not _is_at(handle, folder / LOCK):
            # Who held it until now has taken it away, and somebody else may have made another.
            handle.close()
            return held(folder, being)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        undo.pop_all()
    return handle


def _is_at(handle: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def alone(folder: Path, being: str) -> Iterator[None]:
    """Hold a folder meanwhile; nothing of that is left there.

    Raises:
        ConfigError: another process holds it; `being` says what is done to the folder.
        MachineError: the folder cannot be written.
    """
    with held(folder, being):
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
