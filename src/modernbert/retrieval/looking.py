"""Segments and queries in, the best documents of each query out: by vectors, neighbours, words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import ConfigError, DataError
from modernbert.infer.reading import check_list
from modernbert.retrieval.compare import Query, score_rows
from modernbert.retrieval.hits import Best, Hits
from modernbert.retrieval.index_files import Kind
from modernbert.retrieval.neighbours import Neighbours
from modernbert.retrieval.postings import score_words
from modernbert.retrieval.segment import Segment

Masks = Sequence[NDArray[np.bool_]]
"""Of each segment, which of its documents count."""

_QUERIES = 64
"""Compared at once."""
_WIDTH = 256
"""Vectors that are looked at on the way through the graph, at least."""
_WIDER = 4
"""How many vectors are asked for, for each document that is wanted."""
_NEAR_TOKEN = 64
"""How many vectors are asked for, for each token of a query."""


def check_queries(queries: Sequence[str]) -> None:
    """Refuse queries that ask for nothing.

    Raises:
        DataError: there is none, or one is empty.
    """
    check_list(queries, "queries")
    if not len(queries):
        raise DataError("there is no query: ask for something")
    for number, query in enumerate(queries, start=1):
        if not isinstance(query, str) or not query.strip():
            raise DataError(f"query {number} is empty: ask for something")


def check_widths(queries: Sequence[Query], dim: int) -> None:
    """Refuse vectors that cannot be compared with those of an index.

    Raises:
        ConfigError: a query has as many numbers as no document.
    """
    for query in queries:
        if query.ndim != 2 or query.shape[1] != dim:
            raise ConfigError(
                f"a query has vectors of shape {query.shape}, and documents have {dim} numbers "
                "each: encode it by the index's model"
            )


def by_vectors(
    segments: Sequence[Segment], masks: Masks, queries: Sequence[Query], kind: Kind, number: int
) -> list[Hits]:
    """Compare every query with every document that counts."""
    found: list[Hits] = []
    for start in range(0, len(queries), _QUERIES):
        some = queries[start : start + _QUERIES]
        best = Best(len(some), number)
        for segment, mask in zip(segments, masks, strict=True):
            for rows, scores in score_rows(segment, np.flatnonzero(mask), some, kind):
                best.add(scores, rows + segment.start)
        found += best.hits()
    return found


def by_neighbours(
    graph: Neighbours,
    covered: int,
    given: tuple[Sequence[Segment], Masks],
    queries: Sequence[Query],
    sizes: tuple[Kind, int],
) -> list[Hits]:
    """Compare every query with the documents that a graph finds near it, and those not in it.

    `covered` vectors, from the first on, are in the graph; `sizes` are the kind of the vectors and
    how many documents are wanted. Scores are exact, only documents may be missed.
    """
    segments, masks = given
    kind, number = sizes
    inside = [segment for segment in segments if segment.first_vector < covered]
    rest = slice(len(inside), None)
    found = []
    for query in queries:
        rows = _candidates(graph, (inside, masks), query, (kind, number))
        near = [np.zeros_like(mask) for mask in masks]
        for mask, some in zip(near, rows, strict=False):
            mask[some] = True
        near[rest] = list(masks[rest])
        found += by_vectors(segments, near, [query], kind, number)
    return found


def _candidates(
    graph: Neighbours,
    given: tuple[Sequence[Segment], Masks],
    query: Query,
    sizes: tuple[Kind, int],
) -> list[NDArray[np.int64]]:
    """Return rows of each segment; more are asked for until enough of them count, or all are."""
    segments, masks = given
    kind, number = sizes
    total = sum(segment.facts.vectors for segment in segments)
    most = max(_NEAR_TOKEN, number) if kind == "late" else _WIDER * number
    wanted = min(number, sum(int(mask.sum()) for mask in masks[: len(segments)]))
    while True:
        near = graph.near(query, most, max(_WIDTH, most))
        rows = [_rows(segment, near) for segment in segments]
        rows = [some[mask[some]] for some, mask in zip(rows, masks, strict=False)]
        if most >= total or sum(map(len, rows)) >= wanted:
            return rows
        most = min(4 * most, total)


def _rows(segment: Segment, vectors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which documents of a segment have any of these vectors."""
    local = vectors - segment.first_vector
    local = local[(local >= 0) & (local < segment.facts.vectors)]
    return np.unique(np.searchsorted(segment.starts, local, side="right") - 1)


def by_words(
    segments: Sequence[Segment], alive: Masks, masks: Masks, queries: Sequence[str], number: int
) -> list[Hits]:
    """Return the documents that count and share words with each query, by BM25.

    How rare a word is, is counted over all that are alive.
    """
    postings = [segment.postings for segment in segments]
    found: list[Hits] = []
    for query in queries:
        best = Best(1, number)
        scored = score_words(postings, alive, query)
        for segment, mask, scores in zip(segments, masks, scored, strict=True):
            rows = np.flatnonzero(mask & (scores > 0))
            best.add(scores[None, rows], rows + segment.start)
        found += best.hits()
    return found
