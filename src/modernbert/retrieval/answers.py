"""Documents that were found in, what a person is shown of each out: title, metadata, a passage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernbert.data.entries import Entry
from modernbert.retrieval.compare import Query, score_vectors
from modernbert.retrieval.hits import Hits
from modernbert.retrieval.lexical import words_of
from modernbert.retrieval.segment import Segment
from modernbert.retrieval.snippets import Snippet, best_passage, passages, snippet_of

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Vectors of texts, as documents have them."""

_MOST_EMBEDDED = 16
"""Passages of a document that are compared by their vectors."""


@dataclass(frozen=True, slots=True)
class Found:
    """A document that was found."""

    id: str
    score: float
    """Of what ordered it last: cosine, dot product, MaxSim, BM25, their sum or a reranker."""
    title: str
    text: str
    metadata: Mapping[str, Any]
    snippet: Snippet


def entries_of(segments: Sequence[Segment], hits: Hits) -> list[Entry]:
    """Read what was found."""
    found = (place_of(segments, number) for number in hits.numbers.tolist())
    return [segment.entry(row) for segment, row in found]


def place_of(segments: Sequence[Segment], number: int) -> tuple[Segment, int]:
    """Return the segment that holds a document, and where in it."""
    starts = [segment.start for segment in segments]
    segment = segments[int(np.searchsorted(starts, number, side="right")) - 1]
    return segment, number - segment.start


def answers_of(
    segments: Sequence[Segment], hits: Hits, query: str, vector: Query | None, embed: Embed | None
) -> list[Found]:
    """Return the documents of a query with the passage of each that fits it best.

    It is the one with most of the query's words, in chunked documents within the best chunk if that
    has any of them. Where no passage has, vectors decide if there are some.
    """
    asked = words_of(query)
    found = []
    for number, score in zip(hits.numbers.tolist(), hits.scores.tolist(), strict=True):
        segment, row = place_of(segments, number)
        entry = segment.entry(row)
        places = _passages(entry, _best_chunk(segment, row, vector))
        place = (
            best_passage(entry.text, places, asked)
            or best_passage(entry.text, passages(entry.text), asked)
            or _nearest(entry.text, places, vector, embed)
        )
        snippet = snippet_of(entry.text, place, asked)
        found.append(Found(entry.id, score, entry.title, entry.text, entry.metadata, snippet))
    return found


def _best_chunk(segment: Segment, row: int, vector: Query | None) -> tuple[int, int] | None:
    """Return the characters of title and text that the best chunk was made of."""
    if segment.spans is None or vector is None:
        return None
    best = int(score_vectors(segment, row, vector).argmax())
    start, end = (int(each) for each in segment.spans[segment.starts[row] + best])
    return start, end


def _passages(entry: Entry, chunk: tuple[int, int] | None) -> list[tuple[int, int]]:
    if chunk is None:
        return passages(entry.text)
    before = len(entry.whole) - len(entry.text)
    start, end = (max(0, each - before) for each in chunk)
    return passages(entry.text, start, end) or passages(entry.text)


def _nearest(
    text: str, places: list[tuple[int, int]], vector: Query | None, embed: Embed | None
) -> tuple[int, int]:
    if vector is None or embed is None or len(places) < 2:
        return places[0] if places else (0, 0)
    some = places[:_MOST_EMBEDDED]
    scores = embed([text[a:b] for a, b in some]) @ vector[0]
    return some[int(scores.argmax())]
