"""An index folder in, what it says of itself out, and back: index.json is its only commit point.

What index.json does not name was being written when a process died; the next writer removes it.
Free of numpy, for the command line: arrays are read and written in index_arrays.py.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modernbert.base import files
from modernbert.base.errors import CheckpointError, ConfigError, reason_of
from modernbert.base.lock import LOCK
from modernbert.base.records import from_plain, to_plain
from modernbert.infer.told import Runtime

FORMAT = 1
INDEX, SEGMENTS = "index.json", "segments"
_OWN = (INDEX, SEGMENTS, LOCK)
_OWN_BEGINNINGS = (".partial-", "deleted-", "neighbours-")

Kind = Literal["dense", "sparse", "late"]
Long = Literal["whole", "late-chunks", "chunks"]
Numbers = Literal["float32", "float16", "int8"]

CHUNK_TOKENS = 256
"""Of a chunk at most, where nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How documents became vectors, and how these are kept."""

    long: Long = "whole"
    """Whether a document is read as one, or in chunks: read together (late) or each alone."""
    chunk_tokens: int = CHUNK_TOKENS
    """Tokens of a chunk at most."""
    max_length: int = 0
    """Tokens that are read of a document at most."""
    numbers: Numbers = "float32"
    """What the vectors are kept in."""
    pool: int = 1
    """Of late interaction, how many token vectors become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """One folder of documents."""

    name: str
    documents: int
    vectors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFacts:
    """The files that were added last."""

    name: str
    fingerprint: str
    rows: int
    """Documents of them that were looked at."""
    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """What index.json says."""

    version: str
    """Of the package that wrote it."""
    model: str
    """Name on the hub, or the folder as seen from the index."""
    fingerprint: str
    """Of the model's files."""
    kind: Kind
    dim: int
    similarity: str
    reading: Reading
    approximate_above: int
    """Vectors beyond which a graph of neighbours is kept, and used unless exact search is asked."""
    runtime: Runtime = "torch"
    """What computed the vectors, and computes those of queries."""
    segments: tuple[SegmentFacts, ...] = ()
    deleted: str = ""
    """File with the numbers of deleted documents, in order."""
    num_deleted: int = 0
    neighbours: str = ""
    """Folder with the graph of neighbours."""
    neighbour_vectors: int = 0
    """How many vectors, from the first segment on, are in the graph."""
    keys: tuple[str, ...] = ()
    """Of metadata, in any document."""
    num_cut: int = 0
    """Documents that were longer than what is read of one."""
    source: AddedFacts | None = None
    next_number: int = 0
    """Number that the next segment, file or folder carries in its name."""

    @property
    def num_documents(self) -> int:
        """Return how many can be found."""
        return sum(segment.documents for segment in self.segments) - self.num_deleted

    @property
    def num_vectors(self) -> int:
        """Return how many are kept, those of deleted documents among them."""
        return sum(segment.vectors for segment in self.segments)


def read_facts(folder: Path) -> IndexFacts:
    """Read what an index says of itself.

    Raises:
        CheckpointError: it is none, was written in another format, or is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        if folder.is_dir() and is_free(folder) and any(folder.iterdir()):
            raise CheckpointError(
                f"{folder} is an index that was begun and holds no document yet: repeat the "
                "command that began it"
            )
        raise CheckpointError(
            f"{folder} holds no index: give a folder that `modernbert index` wrote"
        )
    try:
        content = files.read_json(path)
        found = content.pop("format", None)
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({reason_of(error)}): build the index anew"
        ) from error
    if found != FORMAT:
        raise CheckpointError(
            f"{path} has format {found!r}, this version reads {FORMAT}: build the index anew, or "
            "use the version that wrote it"
        )
    try:
        return from_plain(IndexFacts, content, INDEX)
    except ConfigError as error:
        raise CheckpointError(f"{folder}: {error}; build the index anew") from error


def commit(folder: Path, facts: IndexFacts) -> None:
    """Make a new state the index's own, in one step.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    files.write_json(folder / INDEX, {"format": FORMAT, **to_plain(facts)})


def sweep(folder: Path, facts: IndexFacts | None) -> None:
    """Remove what an index does not name, such as what a killed process left."""
    named = {facts.deleted, facts.neighbours} if facts else set()
    segments = {segment.name for segment in facts.segments} if facts else set()
    files.sweep(folder)
    for entry in folder.iterdir():
        if entry.name.startswith(_OWN_BEGINNINGS) and entry.name not in named:
            _remove(entry)
    for entry in (folder / SEGMENTS).glob("*"):
        if entry.name not in segments:
            _remove(entry)


def is_free(folder: Path) -> bool:
    """Return whether a folder is absent, or holds nothing but what an unborn index left."""
    if not folder.is_dir():
        return not folder.exists()
    return all(
        entry.name in _OWN or entry.name.startswith(_OWN_BEGINNINGS) for entry in folder.iterdir()
    )


def as_seen_from(folder: Path, model: str) -> str:
    """Return how an index names its model, so that both can be moved together."""
    if not Path(model).is_dir():
        return model
    return Path(os.path.relpath(Path(model).resolve(), folder.resolve())).as_posix()


def _remove(entry: Path) -> None:
    if entry.is_dir():
        files.remove_folder(entry)
    else:
        entry.unlink()
