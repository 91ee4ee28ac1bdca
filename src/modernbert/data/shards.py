"""One shard: the token ids of many documents end to end, and an index that guards each of them.

`NAME.ids` holds nothing but ids. `NAME.index` holds where documents start, then a CRC32 each; its
own CRC32 stands in the manifest. All numbers are little-endian.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import DataError
from modernbert.base.files import whole_file
from modernbert.data.manifest import ShardFacts
from modernbert.data.store import Store

Ids = NDArray[np.int64]
StoredIds = NDArray[np.unsignedinteger]

DTYPES: dict[str, np.dtype[np.unsignedinteger]] = {
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
}
_OFFSET, _CRC = np.dtype("<u8"), np.dtype("<u4")


def dtype_for(vocab_size: int, forced: str | None = None) -> str:
    """Return the name of the narrowest type that holds the ids of a vocabulary.

    Raises:
        DataError: the forced type is unknown, or too narrow.
    """
    name = forced or ("uint16" if vocab_size <= 1 << 16 else "uint32")
    if name not in DTYPES:
        raise DataError(f"token type {name!r} is not one of {', '.join(DTYPES)}")
    largest = np.iinfo(DTYPES[name]).max
    if vocab_size - 1 > largest:
        raise DataError(
            f"the vocabulary has {vocab_size} ids, {name} holds {largest + 1}: use uint32"
        )
    return name


def write_shard(
    stem: Path, documents: Sequence[NDArray[np.integer]], text_bytes: int, dtype: str
) -> ShardFacts:
    """Write a shard's two files; whoever finds the second finds the first whole.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    chunks = [ids.astype(DTYPES[dtype], copy=False) for ids in documents]
    offsets = np.zeros(len(chunks) + 1, dtype=_OFFSET)
    np.cumsum([len(ids) for ids in chunks], out=offsets[1:])
    crcs = np.array([zlib.crc32(ids.data) for ids in chunks], dtype=_CRC)
    index = offsets.tobytes() + crcs.tobytes()
    with whole_file(stem.with_name(f"{stem.name}.ids")) as aside, aside.open("wb") as file:
        for ids in chunks:
            file.write(ids.data)
    with whole_file(stem.with_name(f"{stem.name}.index")) as aside:
        aside.write_bytes(index)
    return ShardFacts(stem.name, len(chunks), int(offsets[-1]), text_bytes, zlib.crc32(index))


@final
class Shard:
    """A shard opened for reading; a document is checked when it is first touched."""

    def __init__(
        self, folder: Path, facts: ShardFacts, dtype: str, store: Store | None = None
    ) -> None:
        """Read and check the index; the ids stay on disk, or in the store they come from.

        Raises:
            DataError: a file is missing, has the wrong size, or the index was altered.
        """
        self._path = folder / f"{facts.name}.ids"
        self.name = name = f"{folder.name}/{facts.name}"
        self._dtype = DTYPES[dtype]
        self._store, self._size = store, facts.tokens * self._dtype.itemsize
        if store is None:
            _check_size(self._path, self._size, name)
        index_path = folder / f"{facts.name}.index"
        split = (facts.documents + 1) * _OFFSET.itemsize
        _check_size(index_path, split + facts.documents * _CRC.itemsize, name)
        index = index_path.read_bytes()
        if zlib.crc32(index) != facts.index_crc32:
            raise DataError(
                f"{name}: its index {index_path} was altered since it was built (checksum): "
                "restore the file, or build the corpus anew"
            )
        self._offsets = np.frombuffer(index[:split], dtype=_OFFSET).astype(np.int64)
        self._crcs = np.frombuffer(index[split:], dtype=_CRC)
        self._is_checked = np.zeros(facts.documents, dtype=bool)
        self._ids: StoredIds | None = None
        self._stays_there = False
        """The cache has no room: documents come from the store one by one."""

    @property
    def lengths(self) -> Ids:
        """Tokens of each document."""
        return np.diff(self._offsets)

    def read(self, document: int, start: int, stop: int) -> Ids:
        """Return tokens [start, stop) of a document.

        Raises:
            DataError: the document's bytes are not those that were written.
            MachineError: the store that holds them cannot be reached.
        """
        first, last = int(self._offsets[document]), int(self._offsets[document + 1])
        stop = min(first + stop, last)
        ids = self._mapped()
        if not self._is_checked[document]:
            whole = self._fetched(first, last) if ids is None else ids[first:last]
            self._check(document, whole)
            return whole[start : stop - first].astype(np.int64)
        part = self._fetched(first + start, stop) if ids is None else ids[first + start : stop]
        return part.astype(np.int64)

    def all_ids(self) -> StoredIds:
        """Return every id of a shard on disk, unchecked, as a view of the file."""
        ids = self._mapped()
        assert ids is not None
        return ids

    def _mapped(self) -> StoredIds | None:
        """Return the ids as the file on disk has them; None where they stay in the store."""
        if self._ids is None and self._store is None:
            self._ids = np.memmap(self._path, dtype=self._dtype, mode="r").view(np.ndarray)
        elif self._ids is None and self._store is not None and not self._stays_there:
            found = self._store.mapped(self._path, self._size)
            self._stays_there = found is None
            self._ids = None if found is None else np.frombuffer(found, dtype=self._dtype)
        return self._ids

    def _fetched(self, first: int, last: int) -> StoredIds:
        assert self._store is not None
        width, name = self._dtype.itemsize, f"{self._path.parent.name}/{self._path.name}"
        data = self._store.part(name, first * width, last * width)
        return np.frombuffer(data, dtype=self._dtype)

    def _check(self, document: int, ids: StoredIds) -> None:
        if zlib.crc32(ids.data) != self._crcs[document]:
            if self._store is not None:
                self._path.unlink(missing_ok=True)
                raise DataError(
                    f"{self.name}/document {document} was altered since it was built (checksum), "
                    f"in {self._store.address} or in the cache, which has dropped its copy: repeat "
                    "the command, and if this comes again copy the corpus there anew"
                )
            raise DataError(
                f"{self.name}/document {document} was altered on disk since it was built "
                f"(checksum of {self._path}): restore the file, or build the corpus anew"
            )
        self._is_checked[document] = True


def _check_size(path: Path, size: int, name: str) -> None:
    if not path.is_file():
        raise DataError(f"{name}: {path} is missing: restore it, or build the corpus anew")
    actual = path.stat().st_size
    if actual != size:
        raise DataError(
            f"{name}: {path} has {actual} bytes, the manifest says {size}: "
            "restore the file, or build the corpus anew"
        )
