"""A finished folder of embeddings in, one file of all vectors out: .npy, .parquet or .jsonl.

vectors.npy         a row a document, in their order; their ids are in vectors.ids.jsonl; of late
                    interaction a row a token, and vectors.lengths.npy has the rows of each document
vectors.parquet     columns id, vector; of late interaction a list of vectors a document
vectors.jsonl       a line a document: id, vector
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import ConfigError
from modernbert.base.files import whole_file
from modernbert.data.formats import check_parquet, parquet_writer
from modernbert.infer.embeddings import Embeddings, Shard

PARTS = ".parts"
"""Behind a file's name: the folder in which its vectors are gathered until all are there."""
_OTHERS = ("csv", "tsv", "json", "txt", "npz")
_LINES = 1000
"""Documents that are written together."""


def form_of(out: Path) -> str | None:
    """Return npy, parquet or jsonl where a name ends so; None names a folder.

    Raises:
        ConfigError: it ends as a file of another kind does.
    """
    end = out.suffix.lower().removeprefix(".")
    if end in _OTHERS:
        raise ConfigError(f"{out} would be a folder: name a .npy, .parquet or .jsonl, or a folder")
    return end if end in _WRITERS else None


def parts_of(out: Path) -> Path:
    """Return the folder in which the vectors of a file are gathered.

    Raises:
        ConfigError: the file is there already.
        MachineError: a package that writes it is missing.
    """
    if out.exists():
        raise ConfigError(f"{out} exists: name another file, or remove it")
    if form_of(out) == "parquet":
        check_parquet(out)
    return out.with_name(out.name + PARTS)


def write_file(parts: Path, out: Path) -> None:
    """Write the vectors of a finished folder into one file, whole or not at all, and remove it.

    Memory is bounded: shards are mapped, and written some documents at a time.

    Raises:
        DataError: a part of the folder is missing or broken.
        MachineError: a package is missing, or the disk is full.
    """
    form = form_of(out)
    assert form is not None
    _WRITERS[form](Embeddings(parts), out)
    shutil.rmtree(parts)


def _npy(found: Embeddings, out: Path) -> None:
    lengths = [each.lengths for each in found if each.lengths is not None]
    count = int(sum(each.sum() for each in lengths)) if lengths else len(found)
    if lengths:
        with whole_file(out.with_suffix(".lengths.npy")) as aside, aside.open("wb") as file:
            np.save(file, np.concatenate(lengths))
    names = (name for shard in found for name in shard.ids)
    with whole_file(out.with_suffix(".ids.jsonl")) as aside, aside.open("w") as lines:
        lines.writelines(json.dumps({"id": name}) + "\n" for name in names)
    dtype = np.float16 if found.facts.dtype == "float16" else np.float32
    with whole_file(out) as aside:
        rows = np.lib.format.open_memmap(aside, "w+", dtype, (count, found.facts.dimension))
        start = 0
        for shard in found:
            rows[start : start + len(shard.stored)] = shard.vectors()
            start += len(shard.stored)
        rows.flush()


def _jsonl(found: Embeddings, out: Path) -> None:
    with whole_file(out) as aside, aside.open("w", encoding="utf-8") as lines:
        for ids, vectors in _groups(found):
            for name, vector in zip(ids, vectors, strict=True):
                row = {"id": name, "vector": vector.tolist()}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _parquet(found: Embeddings, out: Path) -> None:
    is_nested = found.facts.kind == "token"
    with whole_file(out) as aside, parquet_writer(aside, is_nested=is_nested) as write:
        for ids, vectors in _groups(found):
            write({"id": list(ids), "vector": vectors})


def _groups(found: Embeddings) -> Iterator[tuple[tuple[str, ...], list[NDArray[Any]]]]:
    """Yield some documents at a time with their vectors, [N] or, a token a row, [T N]."""
    for shard in found:
        for start in range(0, len(shard.ids), _LINES):
            ids = shard.ids[start : start + _LINES]
            yield ids, [*_vectors(shard, start, start + len(ids))]


def _vectors(shard: Shard, start: int, stop: int) -> Iterator[NDArray[np.float32]]:
    if shard.lengths is None:
        yield from shard.rows(start, stop)
        return
    ends = np.cumsum(shard.lengths)
    for number in range(start, stop):
        yield shard.rows(int(ends[number] - shard.lengths[number]), int(ends[number]))


_WRITERS: Mapping[str, Callable[[Embeddings, Path], None]] = {
    "npy": _npy,
    "parquet": _parquet,
    "jsonl": _jsonl,
}
