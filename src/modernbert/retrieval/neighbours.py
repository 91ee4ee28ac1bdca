"""Vectors in, a graph by which the nearest are found without comparing all out: usearch's HNSW."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modernbert.base import files
from modernbert.base.errors import DataError, MachineError, reason_of

_GRAPH = "graph.usearch"
_CONNECTIVITY, _WIDTH_ADDING = 16, 128


@final
class Neighbours:
    """A graph over vectors, which are known by their numbers."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    @classmethod
    def new(cls, dim: int) -> "Neighbours":
        """Begin a graph of vectors that are compared by their products.

        Raises:
            MachineError: usearch is missing.
        """
        index = _usearch().Index(
            ndim=dim,
            metric="ip",
            dtype="f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_WIDTH_ADDING,
            enable_key_lookups=False,
        )
        return cls(index)

    @classmethod
    def open(cls, folder: Path, *, is_changed: bool = False) -> "Neighbours":
        """Map a graph into memory, or load it where it is to be added to.

        Raises:
            DataError: it is missing or broken.
            MachineError: usearch is missing.
        """
        library, path = _usearch(), folder / _GRAPH
        try:
            graph = library.Index.restore(str(path), view=not is_changed, enable_key_lookups=False)
        except (RuntimeError, OSError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read ({reason_of(error)}): build the index anew"
            ) from error
        if graph is None:
            raise DataError(f"{path} is missing: build the index anew")
        graph.expansion_add = _WIDTH_ADDING
        return cls(graph)

    def add(self, blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> None:
        """Add blocks of vectors with their numbers."""
        for numbers, vectors in blocks:
            self._graph.add(numbers.astype(np.uint64), vectors)

    def save(self, folder: Path) -> None:
        """Write the graph into a folder of its own, whole or not at all.

        Raises:
            MachineError: the disk is full or the folder cannot be written.
        """
        with files.whole_folder(folder) as aside:
            try:
                self._graph.save(str(aside / _GRAPH))
            except RuntimeError as error:
                raise MachineError(
                    f"{folder} cannot be written ({reason_of(error)}): make room and repeat the "
                    "command, the documents are in the index"
                ) from error

    def near(self, queries: NDArray[np.float32], number: int, width: int) -> NDArray[np.int64]:
        """Return numbers of vectors that are near any of the queries, in order.

        `width` is how many are looked at on the way for each: more are slower and surer.
        """
        self._graph.expansion_search = max(width, number)
        found = self._graph.search(queries, min(number, len(self._graph)))
        if queries.shape[0] == 1:
            return np.unique(np.asarray(found.keys, dtype=np.int64))
        counts = np.asarray(found.counts)
        kept = [keys[:count] for keys, count in zip(found.keys, counts, strict=True)]
        return np.unique(np.concatenate(kept)).astype(np.int64)


def _usearch() -> Any:
    try:
        from usearch import index
    except ImportError as error:
        raise MachineError(
            "approximate search needs usearch: pip install 'modernbert[retrieve]', or say --exact"
        ) from error
    return index
