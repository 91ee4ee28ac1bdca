"""Documents in, passages of one sentence to several out: a sample that only the seed decides."""

import heapq
import re
from collections.abc import Iterable, Iterator

from modernbert.base import rng
from modernbert.data.documents import Document

_END = re.compile(r"(?<=[.!?])\s+|[ \t]*\n\s*\n\s*")
# Short ones are the rule where texts are compared, long ones where they are searched.
_SENTENCES = (1, 1, 1, 2, 3, 5, 8)
_SHORTEST, _LONGEST = 12, 2000
"""Characters of a passage."""


def passages(document: Document, seed: int) -> Iterator[str]:
    """Yield a document in passages of 1 to 8 sentences, of 12 to 2,000 characters.

    A sentence ends at a full stop, or where a line is empty.
    """
    sentences = [part for part in _END.split(document.text) if part.strip()]
    lengths = rng.generator(seed, "passages", document.name).choice(_SENTENCES, len(sentences))
    start = 0
    for length in lengths.tolist():
        text = " ".join(sentences[start : start + length]).strip()[:_LONGEST]
        start += length
        if len(text) >= _SHORTEST:
            yield text


def sample(documents: Iterable[Document], number: int, seed: int) -> list[str]:
    """Return so many different passages of all documents, in an order without a pattern.

    Memory is bounded by them.
    """
    # A heap whose first is the one that goes; keys are negative so that the smallest are kept.
    kept: list[tuple[int, str]] = []
    seen: set[int] = set()
    for document in documents:
        for text in passages(document, seed):
            key = -rng.key(seed, "passage", text)
            if key in seen or (len(kept) == number and key < kept[0][0]):
                continue
            seen.add(key)
            if len(kept) < number:
                heapq.heappush(kept, (key, text))
            else:
                seen.discard(heapq.heappushpop(kept, (key, text))[0])
    return [text for _, text in sorted(kept, reverse=True)]
