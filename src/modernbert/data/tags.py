"""Tags of words in any usual scheme in, the spans that they mean out, and back as BIO.

Known are IOB1, IOB2 (BIO), IOE, BIOES and BILOU; read as conlleval and seqeval read them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OUTSIDE = "O"
_BEGIN, _INSIDE = "B", "I"
_LAST, _SINGLE = ("E", "L"), ("S", "U", "W")
_PREFIXES = (_BEGIN, _INSIDE, *_LAST, *_SINGLE)


@dataclass(frozen=True, slots=True, order=True)
class TagSpan:
    """Some words of one kind, from the first to behind the last."""

    start: int
    stop: int
    kind: str


def is_chunked(tags: Iterable[str]) -> bool:
    """Return whether tags say where spans begin, and not just what each word is."""
    others = {tag for tag in tags if tag != OUTSIDE}
    return bool(others) and all(_split(tag)[0] in _PREFIXES and "-" in tag for tag in others)


def odd_one(tags: Iterable[str]) -> str | None:
    """Return a tag that begins no span beside others that do, None where all are of one sort."""
    others = sorted({tag for tag in tags if tag != OUTSIDE})
    if not any(tag.startswith(f"{_BEGIN}-") for tag in others):
        return None
    return next((tag for tag in others if not is_chunked([tag])), None)


def spans_of(tags: Sequence[str]) -> list[TagSpan]:
    """Return the spans that a row of tags means; broken ones are read as conlleval reads them.

    A span ends before a word of another kind, before one that begins a span, and after one that
    ends a span; a word inside a span that follows none begins one.
    """
    found: list[TagSpan] = []
    start, kind = 0, ""
    before = OUTSIDE
    for at, tag in enumerate([*tags, OUTSIDE]):
        prefix, now = _split(tag)
        old = _split(before)[0]
        begins = prefix in (_BEGIN, *_SINGLE) or now != kind or old in (*_LAST, *_SINGLE)
        if kind and (begins or tag == OUTSIDE):
            found.append(TagSpan(start, at, kind))
            kind = ""
        if tag != OUTSIDE and (begins or not kind):
            start, kind = at, now
        before = tag
    return found


def bio(spans: Iterable[TagSpan], count: int) -> list[str]:
    """Return the tags of so many words, `B-` at each begin and `I-` inside; later spans win."""
    tags = [OUTSIDE] * count
    for span in spans:
        for at in range(span.start, min(span.stop, count)):
            tags[at] = f"{_BEGIN if at == span.start else _INSIDE}-{span.kind}"
    return tags


def bio_names(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return all tags of some kinds of spans, in the order of a classifier's rows."""
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted({*kinds}) for prefix in "BI"))


def _split(tag: str) -> tuple[str, str]:
    """Return a tag's prefix and kind; a tag that is just a prefix is of no kind."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind or "_"
