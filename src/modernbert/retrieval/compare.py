"""Vectors of queries and a segment in, how well its documents fit out: every one is compared."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from modernbert.retrieval.index_files import Kind
from modernbert.retrieval.segment import Segment

Query = NDArray[np.float32]
"""[T N]: one vector, or one a token."""

_BLOCK = 2**14
"""Vectors that are taken out of a segment at once."""


def score_rows(
    segment: Segment, rows: NDArray[np.int64], queries: Sequence[Query], kind: Kind
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield some documents of a segment with their scores [Q S], a block at a time.

    A document of several vectors has the score of the best one, or with late interaction MaxSim.
    """
    for block in _blocks(segment, rows):
        lengths = segment.starts[block + 1] - segment.starts[block]
        yield block, _SCORES[kind](segment, _places(segment, block), lengths, queries)


def score_vectors(segment: Segment, row: int, query: Query) -> NDArray[np.float32]:
    """Return how well each vector of a document fits a query of one vector."""
    first, last = (int(each) for each in segment.starts[row : row + 2])
    return np.asarray(segment.numbers(slice(first, last)) @ query[0], dtype=np.float32)


def _blocks(segment: Segment, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    if not len(rows):
        return
    sizes = segment.starts[rows + 1] - segment.starts[rows]
    block = np.cumsum(sizes) // _BLOCK
    yield from np.split(rows, np.flatnonzero(np.diff(block)) + 1)


def _places(segment: Segment, rows: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return where the vectors of some documents stand."""
    starts = segment.starts
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(starts[rows[0]]), int(starts[rows[-1] + 1]))
    return np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])


_Places = slice | NDArray[np.int64]


def _dense(
    segment: Segment, places: _Places, lengths: NDArray[np.int64], queries: Sequence[Query]
) -> NDArray[np.float32]:
    scores = np.concatenate(queries) @ segment.numbers(places).T
    if (lengths == 1).all():
        return np.asarray(scores, dtype=np.float32)
    starts = np.cumsum(lengths) - lengths
    return np.asarray(np.maximum.reduceat(scores, starts, axis=1), dtype=np.float32)


def _sparse(
    segment: Segment, places: _Places, lengths: NDArray[np.int64], queries: Sequence[Query]
) -> NDArray[np.float32]:
    assert segment.tokens is not None
    weights, tokens = segment.numbers(places), segment.tokens[places]
    rows = np.repeat(np.arange(len(lengths)), lengths)
    return np.stack(
        [np.bincount(rows, weights * query[0, tokens], minlength=len(lengths)) for query in queries]
    ).astype(np.float32)


def _late(
    segment: Segment, places: _Places, lengths: NDArray[np.int64], queries: Sequence[Query]
) -> NDArray[np.float32]:
    import torch

    from modernbert.batch import Layout
    from modernbert.kernels.maxsim import maxsim

    found = maxsim(
        torch.from_numpy(np.concatenate(queries)),
        Layout.of([len(query) for query in queries]),
        torch.from_numpy(np.array(segment.numbers(places))),
        Layout.of(lengths.tolist()),
    )
    return np.asarray(found.numpy(), dtype=np.float32)


_SCORES = {"dense": _dense, "sparse": _sparse, "late": _late}
