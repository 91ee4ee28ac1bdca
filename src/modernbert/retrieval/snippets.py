"""A document and a query in, the passage that fits best with the query's words marked out."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from modernbert.retrieval.lexical import words_of

_LONGEST = 300
"""Characters of a passage, about."""
_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s)|\n|$)", re.DOTALL)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A passage of a document's text."""

    text: str
    start: int
    """Character of the document's text at which it begins."""
    end: int
    highlights: tuple[tuple[int, int], ...]
    """Characters of the passage, from and to, that are words of the query."""


def passages(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Cut a part of a text into passages of whole sentences or lines, where these are not too long.

    Returns the first character of each, and the one behind its last.
    """
    found: list[tuple[int, int]] = []
    for match in _SENTENCE.finditer(text, start, len(text) if end is None else end):
        first, last = match.start(), match.start() + len(match.group().rstrip())
        if found and last - found[-1][0] <= _LONGEST:
            found[-1] = (found[-1][0], last)
            continue
        found += _pieces(text, first, last)
    return found


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    pieces = []
    while end - start > _LONGEST:
        gap = text.rfind(" ", start + _LONGEST // 2, start + _LONGEST)
        stop = gap if gap > 0 else start + _LONGEST
        pieces.append((start, stop))
        start = stop + (gap > 0)
    return [*pieces, (start, end)]


def best_passage(
    text: str, places: list[tuple[int, int]], query: Collection[str]
) -> tuple[int, int] | None:
    """Return the first passage with the most of a query's words; None where there is no word."""
    asked = set(query)
    scores = [len(asked & set(words_of(text[a:b]))) for a, b in places]
    best = max(scores, default=0)
    return places[scores.index(best)] if best else None


def snippet_of(text: str, place: tuple[int, int], query: Collection[str]) -> Snippet:
    """Return a passage with the places of the query's words, whole names of code included."""
    start, end = place
    asked, passage = set(query), text[start:end]
    marks = tuple(
        match.span() for match in _WORD.finditer(passage) if asked & set(words_of(match.group()))
    )
    return Snippet(passage, start, end, marks)
