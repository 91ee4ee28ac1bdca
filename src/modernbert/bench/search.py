"""Vectors in, how fast an index of them is opened and searched, and what a graph misses, out."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert import __version__
from modernbert.base import machine, rng
from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import folder_size
from modernbert.bench.cases import SearchCase
from modernbert.data.entries import Entry
from modernbert.retrieval.hits import Hits
from modernbert.retrieval.index import Index
from modernbert.retrieval.index_files import IndexFacts, Reading
from modernbert.retrieval.options import SearchOptions
from modernbert.retrieval.segment import Encoded
from modernbert.retrieval.writing import Writer

Vectors = NDArray[np.float32]

_SEGMENT = 65_536
_DIRECTIONS, _A_CLUSTER, _SPREAD, _NOISE = 32, 100, 0.5, 0.1
_OPENINGS = 5


def measure(given: Path | None, case: SearchCase) -> dict[str, Any]:
    """Index vectors, search them both ways, and return a row.

    Raises:
        DataError: the file holds no vectors, or too few.
        MachineError: usearch is missing.
    """
    if given:
        blocks, queries = _read(given, case)
    else:
        source = _Drawn(case)
        blocks, queries = source.blocks(), source.some(case.queries, "queries")
    with TemporaryDirectory() as place:
        folder = Path(place)
        written = _seconds(lambda: _write(folder, blocks, case, queries.shape[1]))
        linked = _seconds(lambda: _link(folder))
        opened = [_seconds(lambda: Index.open(folder)) for _ in range(_OPENINGS)]
        index = Index.open(folder)
        exact, exact_s = _asked(index, queries, SearchOptions(number=case.number, exact=True))
        near, near_s = _asked(index, queries, SearchOptions(number=case.number, approximate=True))
        graph = folder_size(folder / index.facts.neighbours)
        size = sum(path.stat().st_size for path in folder.rglob("vectors.npy"))
    return {
        "bench": "search",
        **dataclasses.asdict(case),
        "vectors": index.facts.num_vectors,
        "dim": queries.shape[1],
        "given": given.name if given else "",
        "recall": _recall(exact, near),
        "exact_ms": _quartiles(exact_s),
        "approximate_ms": _quartiles(near_s),
        "open_ms": 1e3 * statistics.median(opened),
        "write_seconds": written,
        "graph_seconds": linked,
        "graph_bytes": graph,
        "vector_bytes": size,
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions("usearch"),
    }


class _Drawn:
    """Clusters in a few directions of the whole space, which is about how vectors of texts lie."""

    def __init__(self, case: SearchCase) -> None:
        draw = rng.generator(0, "search")
        self._case = case
        self._axes = draw.standard_normal((_DIRECTIONS, case.dim), dtype=np.float32)
        clusters = max(1, case.vectors // _A_CLUSTER)
        self._centers = draw.standard_normal((clusters, _DIRECTIONS), dtype=np.float32)

    def blocks(self) -> Iterator[Vectors]:
        """Yield the vectors of a segment at a time."""
        for start in range(0, self._case.vectors, _SEGMENT):
            yield self.some(min(_SEGMENT, self._case.vectors - start), str(start))

    def some(self, number: int, name: str) -> Vectors:
        """Draw vectors of length 1."""
        draw = rng.generator(0, "search", name)
        chosen = self._centers[draw.integers(0, len(self._centers), number)]
        near = chosen + _SPREAD * draw.standard_normal(chosen.shape, dtype=np.float32)
        vectors = near @ self._axes
        vectors += _NOISE * draw.standard_normal(vectors.shape, dtype=np.float32)
        return _unit(vectors)


def _read(path: Path, case: SearchCase) -> tuple[Iterator[Vectors], Vectors]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no vectors ({reason_of(error)}): give a .npy") from error
    if found.ndim != 2 or len(found) <= case.queries:
        raise DataError(
            f"{path} holds an array of shape {found.shape}: give more vectors [V K] than the "
            f"{case.queries} queries"
        )
    last = len(found) - case.queries
    starts = range(0, last, _SEGMENT)
    blocks = (_unit(found[start : min(start + _SEGMENT, last)]) for start in starts)
    return blocks, _unit(found[last:])


def _unit(vectors: NDArray[Any]) -> Vectors:
    plain = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    return np.asarray(plain / np.maximum(lengths, 1e-12), dtype=np.float32)


def _write(folder: Path, blocks: Iterator[Vectors], case: SearchCase, dim: int) -> None:
    facts = IndexFacts(
        version=__version__,
        model="",
        fingerprint="",
        kind="dense",
        dim=dim,
        similarity="cosine",
        reading=Reading(numbers=case.numbers),
        approximate_above=0,
    )
    with Writer(folder, facts) as writer:
        for vectors in blocks:
            first = writer.facts.num_documents
            entries = [Entry(str(first + row), "") for row in range(len(vectors))]
            writer.put(entries, Encoded(vectors, np.ones(len(vectors), dtype=np.int64)))


def _link(folder: Path) -> None:
    with Writer(folder) as writer:
        writer.link()


def _asked(
    index: Index, queries: Vectors, options: SearchOptions
) -> tuple[list[Hits], list[float]]:
    """Ask one query after the other, the first twice: it brings files into memory."""
    found, seconds = [], []
    for query in (queries[:1], *np.split(queries, len(queries))):
        start = time.perf_counter()
        found += index.rank_vectors([query], options)
        seconds.append(time.perf_counter() - start)
    return found[1:], seconds[1:]


def _recall(exact: list[Hits], near: list[Hits]) -> float:
    shares = [
        len({*one.numbers.tolist()} & {*other.numbers.tolist()}) / len(one.numbers)
        for one, other in zip(exact, near, strict=True)
    ]
    return statistics.mean(shares)


def _quartiles(seconds: list[float]) -> list[float]:
    return [1e3 * each for each in statistics.quantiles(seconds, n=4)]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
