"""A part of an index's documents in, with vectors and words, a folder of it out, and back."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import hashed, whole_folder
from modernbert.data.entries import Entry
from modernbert.infer.eight_bits import to_bytes
from modernbert.retrieval.index_arrays import load, store
from modernbert.retrieval.index_files import SEGMENTS, IndexFacts, Numbers, SegmentFacts
from modernbert.retrieval.postings import (
    Postings,
    count_words,
    open_postings,
    write_postings,
)

_BLOCK = 2**14
_DOCUMENTS, _METADATA = "documents.jsonl", "metadata.jsonl"


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The vectors of some documents."""

    vectors: NDArray[np.float32]
    """[V K], document after document; of sparse ones the weights of their words [V]."""
    counts: NDArray[np.int64]
    """How many each document has."""
    spans: NDArray[np.int32] | None = None
    """Of chunks [V 2]: the characters that each was made of."""
    tokens: NDArray[np.int32] | None = None
    """Of sparse vectors [V]: the word of each weight, by its number in the vocabulary."""


def joined(parts: Sequence[Encoded]) -> Encoded:
    """Return the vectors of several groups of documents as those of one."""
    spans = [each.spans for each in parts if each.spans is not None]
    tokens = [each.tokens for each in parts if each.tokens is not None]
    return Encoded(
        np.concatenate([each.vectors for each in parts]),
        np.concatenate([each.counts for each in parts]),
        np.concatenate(spans) if spans else None,
        np.concatenate(tokens) if tokens else None,
    )


def write_segment(
    index: Path, name: str, entries: Sequence[Entry], encoded: Encoded, numbers: Numbers
) -> SegmentFacts:
    """Write documents into a folder of their own, whole or not at all.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    with whole_folder(index / SEGMENTS / name) as folder:
        _write_vectors(folder, encoded, numbers)
        _write_lines(folder / _DOCUMENTS, [_document(entry) for entry in entries])
        _write_lines(folder / _METADATA, [_dumped(dict(entry.metadata)) for entry in entries])
        names = np.array([hashed(entry.id) for entry in entries], dtype=np.uint64)
        order = np.argsort(names, kind="stable")
        store(folder / "ids.npy", np.stack([names[order], order.astype(np.uint64)]))
        write_postings(folder, count_words([entry.whole for entry in entries]))
    return SegmentFacts(name=name, documents=len(entries), vectors=len(encoded.vectors))


def _write_vectors(folder: Path, encoded: Encoded, numbers: Numbers) -> None:
    vectors: NDArray[Any] = encoded.vectors
    if numbers == "int8":
        vectors, scales = to_bytes(encoded.vectors)
        store(folder / "scales.npy", scales)
    store(folder / "vectors.npy", vectors.astype(numbers))
    store(folder / "starts.npy", np.concatenate([[0], np.cumsum(encoded.counts)]).astype("i8"))
    for name, values in (("spans", encoded.spans), ("tokens", encoded.tokens)):
        if values is not None:
            store(folder / f"{name}.npy", values)


def _document(entry: Entry) -> str:
    return _dumped({"id": entry.id, "title": entry.title, "text": entry.text})


def _dumped(value: dict[str, Any]) -> str:
    # What is no character stays escaped, for it cannot be written otherwise.
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return line


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    written = [f"{line}\n".encode() for line in lines]
    path.write_bytes(b"".join(written))
    ends = np.cumsum([len(line) for line in written])
    store(path.with_suffix(".npy"), np.concatenate([[0], ends]).astype(np.int64))


@final
class Segment:
    """An opened part of an index: mapped into memory where it is read, when it is read."""

    def __init__(
        self, index: Path, facts: SegmentFacts, dim: int, start: int, first_vector: int
    ) -> None:
        self._folder, self._dim = index / SEGMENTS / facts.name, dim
        self.facts = facts
        self.start = start
        """Number of its first document in the index."""
        self.first_vector = first_vector
        """Number of its first vector in the index."""

    @cached_property
    def vectors(self) -> NDArray[Any]:
        """[V K], as they are kept; of sparse ones the weights of their words [V]."""
        found = load(self._folder / "vectors.npy")
        if len(found) != self.facts.vectors or found.shape[1:] not in ((), (self._dim,)):
            raise DataError(
                f"{self._folder} holds vectors of shape {found.shape}, and index.json says "
                f"{self.facts.vectors} of {self._dim}: build the index anew"
            )
        return found

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each document's vectors begin, then the total."""
        return np.asarray(load(self._folder / "starts.npy"), dtype=np.int64)

    @cached_property
    def scales(self) -> NDArray[np.float32] | None:
        """What each vector is to be multiplied by, where they are kept in 8 bits."""
        path = self._folder / "scales.npy"
        return np.asarray(load(path), dtype=np.float32) if path.is_file() else None

    @cached_property
    def spans(self) -> NDArray[np.int32] | None:
        """The characters of each chunk."""
        path = self._folder / "spans.npy"
        return np.asarray(load(path), dtype=np.int32) if path.is_file() else None

    @cached_property
    def tokens(self) -> NDArray[np.int32] | None:
        """Of sparse vectors, the word of each weight."""
        path = self._folder / "tokens.npy"
        return np.asarray(load(path), dtype=np.int32) if path.is_file() else None

    @cached_property
    def postings(self) -> Postings:
        """The words of its documents."""
        return open_postings(self._folder)

    def numbers(self, places: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return some vectors as they are compared."""
        found = np.asarray(self.vectors[places], dtype=np.float32)
        return found if self.scales is None else found * self.scales[places][:, None]

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield all vectors with their numbers in the index, some thousand at a time."""
        for start in range(0, self.facts.vectors, _BLOCK):
            stop = min(start + _BLOCK, self.facts.vectors)
            numbers = np.arange(start, stop) + self.first_vector
            yield numbers, self.numbers(slice(start, stop))

    def encoded(self, row: int) -> Encoded:
        """Return the vectors of a document, to be written again."""
        place = slice(*(int(each) for each in self.starts[row : row + 2]))
        vectors = np.array(self.numbers(place))
        return Encoded(
            vectors,
            np.array([len(vectors)], dtype=np.int64),
            None if self.spans is None else np.array(self.spans[place]),
            None if self.tokens is None else np.array(self.tokens[place]),
        )

    def entry(self, row: int) -> Entry:
        """Return a document.

        Raises:
            DataError: it cannot be read.
        """
        kept = self._line(_DOCUMENTS, row)
        return Entry(kept["id"], kept["text"], kept["title"], self._line(_METADATA, row))

    def may_hold(self, names: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of these ids, given by their names, could be there; others are not."""
        hashes = self._ids[0]
        places = np.minimum(np.searchsorted(hashes, names), len(hashes) - 1)
        return np.asarray(hashes[places] == names)

    def rows_of(self, name: str) -> list[int]:
        """Return the rows of documents with this id: of one alone, unless some were deleted."""
        number = np.uint64(hashed(name))
        hashes, rows = self._ids
        first, last = (int(np.searchsorted(hashes, number, side=s)) for s in ("left", "right"))
        found = [int(row) for row in rows[first:last]]
        return [row for row in found if self._line(_DOCUMENTS, row)["id"] == name]

    def all_metadata(self) -> list[dict[str, Any]]:
        """Return the metadata of every document."""
        try:
            lines = (self._folder / _METADATA).read_bytes().splitlines()
            return [json.loads(line) for line in lines]
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    @cached_property
    def _ids(self) -> NDArray[np.uint64]:
        return np.asarray(load(self._folder / "ids.npy"), dtype=np.uint64)

    @cached_property
    def _offsets(self) -> dict[str, NDArray[np.int64]]:
        return {
            name: np.asarray(load((self._folder / name).with_suffix(".npy")), dtype=np.int64)
            for name in (_DOCUMENTS, _METADATA)
        }

    def _line(self, file: str, row: int) -> dict[str, Any]:
        first, last = (int(each) for each in self._offsets[file][row : row + 2])
        try:
            with (self._folder / file).open("rb") as lines:
                lines.seek(first)
                return dict(json.loads(lines.read(last - first)))
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> DataError:
        return DataError(
            f"{self._folder} cannot be read ({reason_of(error)}): open the index again if it was "
            "written to meanwhile, else build it anew"
        )


def segments_of(folder: Path, facts: IndexFacts) -> list[Segment]:
    """Open the segments of an index; nothing is read before it is needed."""
    found, start, first_vector = [], 0, 0
    for each in facts.segments:
        found.append(Segment(folder, each, facts.dim, start, first_vector))
        start += each.documents
        first_vector += each.vectors
    return found
