"""A folder of embeddings in, what it says of itself and its vectors out.

embeddings.json      what was embedded, by which model and how
00000.npy            vectors, a row a document; of late interaction a row a token
00000.ids.jsonl      a line a document: id, tokens that were read of it, whether it was cut
00000.lengths.npy    of late interaction: the rows of each document
00000.scales.npy     of int8: what each row is to be multiplied by

A shard is there when its vectors are, which are written last.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import ConfigError, DataError, reason_of
from modernbert.base.files import read_json, write_json
from modernbert.base.records import from_plain, to_plain
from modernbert.infer.embed_options import Dtype
from modernbert.infer.told import Runtime

FORMAT = 1
NAME = "embeddings.json"


@dataclass(frozen=True, slots=True)
class InputFacts:
    """One of the files or folders that were embedded."""

    name: str
    size_bytes: int
    digest: str
    """Of all contents, and of which columns were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsFacts:
    """What decides the vectors of a folder, and what came of it."""

    model: str
    """As it was named."""
    model_fingerprint: str
    """Of the files that decide what it computes."""
    version: str
    """Of this package, when it was begun."""
    kind: Literal["text", "token"]
    """What has a vector."""
    dimension: int
    dtype: Dtype
    similarity: str
    """How the model compares vectors."""
    prompt: str
    """Text before each document."""
    max_length: int
    """Tokens at which documents were cut."""
    shard_documents: int
    inputs: tuple[InputFacts, ...]
    documents: int
    runtime: Runtime = "torch"
    """What computed them."""
    is_finished: bool = False
    cut: int = 0
    """Documents that were longer; 0 until it is finished, as are the next two."""
    empty: int = 0
    """Documents without text: their vectors are those of nothing."""
    tokens: int = 0
    """Tokens that were read."""

    @property
    def num_shards(self) -> int:
        """How many shards there are once it is finished."""
        return -(-self.documents // self.shard_documents)

    def size_of(self, shard: int) -> int:
        """Return how many documents a shard holds."""
        return min(self.shard_documents, self.documents - shard * self.shard_documents)


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Some documents and their vectors, mapped into memory."""

    ids: tuple[str, ...]
    stored: NDArray[Any]
    """Rows as they lie on disk."""
    lengths: NDArray[np.int64] | None
    """Rows of each document, where each token has one."""
    scales: NDArray[np.float32] | None

    def vectors(self) -> NDArray[np.float32]:
        """Return all rows in float32."""
        return self.rows(0, len(self.stored))

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return some rows in float32."""
        rows = self.stored[start:stop].astype(np.float32)
        return rows if self.scales is None else rows * self.scales[start:stop, None]


@final
class Embeddings:
    """A finished folder; iterate over its shards, in the order of the documents."""

    def __init__(self, folder: Path) -> None:
        """Open it.

        Raises:
            DataError: there is none, it is not finished, or of another format.
        """
        self.folder, self.facts = folder, read_facts(folder)
        if not self.facts.is_finished:
            raise DataError(f"{folder} is not finished: repeat the command that began it")

    def __len__(self) -> int:
        """Return the number of documents."""
        return self.facts.documents

    def __iter__(self) -> Iterator[Shard]:
        for number in range(self.facts.num_shards):
            yield read_shard(self.folder, number)


def read_facts(folder: Path) -> EmbeddingsFacts:
    """Read what a folder says of itself.

    Raises:
        DataError: it says nothing, or in another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise DataError(f"{folder} has no {NAME}: make it with `modernbert embed`")
    try:
        value = read_json(path)
        told = value.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({reason_of(error)}): embed anew") from error
    if told != FORMAT:
        raise DataError(
            f"{path} has format {told!r}, this version reads format {FORMAT}: embed anew"
        )
    try:
        return from_plain(EmbeddingsFacts, value)
    except ConfigError as error:
        raise DataError(f"{path} cannot be read ({reason_of(error)}): embed anew") from error


def write_facts(folder: Path, facts: EmbeddingsFacts) -> None:
    """Write what a folder says of itself, whole or not at all."""
    write_json(folder / NAME, {"format": FORMAT, **to_plain(facts)})


def shard_path(folder: Path, number: int, part: str = "npy") -> Path:
    """Return where a shard's vectors are, or another part of it."""
    return folder / f"{number:05}.{part}"


def is_there(folder: Path, number: int) -> bool:
    """Return whether a shard's vectors are there, with all the bytes that their header promises."""
    path = shard_path(folder, number)
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            return path.stat().st_size == file.tell() + math.prod(shape) * dtype.itemsize
    except (OSError, ValueError):
        return False


def read_shard(folder: Path, number: int) -> Shard:
    """Map a shard into memory.

    Raises:
        DataError: a part is missing or broken.
    """
    lengths, scales = (
        _array(path) if (path := shard_path(folder, number, part)).is_file() else None
        for part in ("lengths.npy", "scales.npy")
    )
    ids = tuple(line["id"] for line in lines_of(folder, number))
    return Shard(ids, _array(shard_path(folder, number)), lengths, scales)


def lines_of(folder: Path, number: int) -> Iterator[dict[str, Any]]:
    """Yield what is known of each document of a shard.

    Raises:
        DataError: it is missing or broken.
    """
    path = shard_path(folder, number, "ids.jsonl")
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error


def _array(path: Path) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise _broken(path, error) from error
    return found


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read ({reason_of(error)}): remove the shard's .npy and repeat the "
        "command that made it"
    )
