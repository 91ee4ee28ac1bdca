"""An array of an index in, its file out, and back."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernbert.base import files
from modernbert.base.errors import DataError, reason_of
from modernbert.retrieval.index_files import IndexFacts


def read_deleted(folder: Path, facts: IndexFacts) -> NDArray[np.int64]:
    """Return the numbers of the documents that were deleted, in order."""
    if not facts.deleted:
        return np.empty(0, dtype=np.int64)
    return np.asarray(load(folder / facts.deleted), dtype=np.int64)


def write_deleted(folder: Path, name: str, numbers: NDArray[np.int64]) -> None:
    """Write the numbers of deleted documents."""
    with files.whole_file(folder / name) as aside:
        store(aside, numbers)


def store(path: Path, values: NDArray[Any]) -> None:
    """Write an array in numpy's format, whose own writer does not say why a disk refuses."""
    whole = np.ascontiguousarray(values)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(whole))
        file.write(whole.reshape(-1).view(np.uint8).data)


def load(path: Path) -> NDArray[np.generic]:
    """Map an array of an index into memory.

    Raises:
        DataError: it is missing or broken.
    """
    try:
        return _mapped(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read ({reason_of(error)}): open the index again if it was written "
            "to meanwhile, else build it anew"
        ) from error


def _mapped(path: Path) -> NDArray[np.generic]:
    try:
        found: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "mmap" not in str(error):
            raise
        # Nothing can be mapped of an empty array; one that is cut short is refused here too.
        return np.asarray(np.load(path, allow_pickle=False))
    return found
