"""Files of documents in, the names of all of them out: what cannot be read is found before work."""

import itertools
from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import DataError
from modernbert.base.files import hashed
from modernbert.base.log import meter
from modernbert.data.entries import Entry, EntryFiles


def surveyed(inputs: Sequence[EntryFiles]) -> NDArray[np.uint64]:
    """Look through all documents and return the hash of each one's id, in their order.

    Raises:
        DataError: there is none, one cannot be read, or two have one id.
    """
    names = array("Q")
    size = sum(each.size_bytes for each in inputs)
    with meter("looking through the documents", max(1, size)) as bar:
        for entry, read in _with_bytes(inputs):
            names.append(hashed(entry.id))
            bar.at(read)
    if not names:
        where = ", ".join(each.name for each in inputs)
        raise DataError(f"{where or 'no path'} holds no document: give files with texts")
    found = np.frombuffer(names, dtype=np.uint64)
    known, numbers = np.unique(found, return_counts=True)
    if len(known) < len(found):
        _refuse_twice(inputs, {int(each) for each in known[numbers > 1]})
    return found


def _with_bytes(inputs: Sequence[EntryFiles]) -> Iterator[tuple[Entry, int]]:
    before = 0
    for each in inputs:
        for entry in each:
            yield entry, before + each.bytes_read
        before += each.size_bytes


def _refuse_twice(inputs: Sequence[EntryFiles], names: set[int]) -> None:
    places: dict[str, str] = {}
    for entry in itertools.chain.from_iterable(inputs):
        if hashed(entry.id) not in names:
            continue
        if entry.id in places:
            raise DataError(
                f"{entry.where} has the id {entry.id!r} of {places[entry.id]}: give it another"
            )
        places[entry.id] = entry.where
