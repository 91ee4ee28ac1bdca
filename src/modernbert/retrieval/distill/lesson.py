"""Passages and a teacher in, a folder with the vector of each out; made shard by shard.

LESSON/texts.jsonl    the passages, a JSON string a line
LESSON/shards/        the teacher's vectors, some thousand a file, while they are made
LESSON/basis.npy      the directions that were kept of them [D d], where the student is narrower
LESSON/vectors.npy    what is learned [N d], each of length 1, in half precision
LESSON/lesson.json    written last: the teacher's name, and sizes
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernbert.base import files
from modernbert.base.errors import ConfigError
from modernbert.base.log import meter, say
from modernbert.data.lesson import DESCRIPTION, FORMAT, TEXTS, VECTORS
from modernbert.retrieval.embedder import Embedder

Vectors = NDArray[np.float16]

_SHARD = 4000
_BASIS, _SHARDS = "basis.npy", "shards"


def is_done(folder: Path) -> bool:
    """Return whether a lesson is whole."""
    return (folder / DESCRIPTION).exists()


def write_texts(folder: Path, texts: list[str]) -> None:
    """Keep the passages.

    Raises:
        MachineError: the folder cannot be written.
    """
    files.make_folder(folder / _SHARDS)
    with files.whole_file(folder / TEXTS) as aside:
        aside.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")


def read_texts(folder: Path) -> list[str]:
    """Return the passages."""
    with (folder / TEXTS).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def teach(folder: Path, teacher: Embedder, texts: list[str]) -> None:
    """Ask the teacher for every passage whose vector is not there yet.

    Raises:
        MachineError: the folder cannot be written.
    """
    with meter("the teacher reads", len(texts)) as bar:
        for number, start in enumerate(range(0, len(texts), _SHARD)):
            path = folder / _SHARDS / f"{number:05d}.npy"
            part = texts[start : start + _SHARD]
            if not path.exists():
                _write(path, teacher.vectors(part).astype(np.float16))
            bar.at(start + len(part))


def check_width(width: int, theirs: int) -> None:
    """Refuse a student that the teacher's vectors cannot fill.

    Raises:
        ConfigError: it is wider than they are.
    """
    if width > theirs:
        raise ConfigError(
            f"the student has a width of {width}, and the teacher's vectors have {theirs}: take a "
            "narrower student"
        )


def finish(folder: Path, teacher: str, width: int | None) -> None:
    """Bring the vectors to the student's width, by the directions in which they differ most.

    Raises:
        ConfigError: the student is wider than the teacher's vectors.
        MachineError: the folder cannot be written.
    """
    vectors = np.concatenate(list(_shards(folder)))
    theirs = vectors.shape[1]
    width = width or theirs
    check_width(width, theirs)
    if width < theirs:
        basis, share = _basis(vectors, width)
        say(f"of the teacher's {theirs} directions {width} are kept: {share:.1%} of the lengths")
        _write(folder / _BASIS, basis)
        vectors = projected(vectors, basis).astype(np.float16)
    _write(folder / VECTORS, vectors)
    description = {"format": FORMAT, "teacher": teacher, "passages": len(vectors), "dim": width}
    files.write_json(folder / DESCRIPTION, description)
    files.remove_folder(folder / _SHARDS)


def basis_of(folder: Path) -> NDArray[np.float32] | None:
    """Return the directions that were kept, None where all were."""
    path = folder / _BASIS
    return np.load(path) if path.exists() else None


def width_of(folder: Path) -> int:
    """Return the width of the vectors that are learned."""
    return int(files.read_json(folder / DESCRIPTION)["dim"])


def projected(
    vectors: NDArray[np.floating[Any]], basis: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return vectors of length 1 along some directions."""
    short = vectors.astype(np.float32) @ basis
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    return np.asarray(short / np.maximum(lengths, 1e-6))


def _basis(vectors: Vectors, width: int) -> tuple[NDArray[np.float32], float]:
    """Return the main directions about the origin, and their share of the squared lengths.

    About the origin and not about the mean, so that products of vectors are kept.
    """
    dim = vectors.shape[1]
    moments = np.zeros((dim, dim))
    for start in range(0, len(vectors), _SHARD):
        part = vectors[start : start + _SHARD].astype(np.float64)
        moments += part.T @ part
    values, directions = np.linalg.eigh(moments)
    kept = directions[:, ::-1][:, :width]
    return kept.astype(np.float32), float(values[::-1][:width].sum() / values.sum())


def _shards(folder: Path) -> Iterator[Vectors]:
    for path in sorted((folder / _SHARDS).glob("[0-9]*.npy")):
        yield np.load(path)


def _write(path: Path, array: Vectors | NDArray[np.float32]) -> None:
    with files.whole_file(path) as aside, aside.open("wb") as file:
        np.save(file, array)
