"""Running text in, where its words stand out: between blanks, punctuation around them apart."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

_RUN = re.compile(r"\S+")
# Scripts that leave no blanks between words: each character is one.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "YI ")


def words_of(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text begin and end, in characters.

    Punctuation before and behind a word is apart, a character each, as treebanks have it; inside
    (U.S.A, don't, e-mail) it stays. Of scripts without blanks each character is a word, with the
    marks that belong to it.
    """
    return [
        (run.start() + begin, run.start() + end)
        for run in _RUN.finditer(text)
        for begin, end in _parts(run[0])
    ]


def _parts(run: str) -> Iterator[tuple[int, int]]:
    """Cut what stands between blanks."""
    first, last = 0, len(run)
    while first < last and not _is_inside(run[first]):
        first += 1
    while last > first and not _is_inside(run[last - 1]):
        last -= 1
    yield from ((at, at + 1) for at in range(first))
    at = first
    for is_unspaced, group in groupby(run[first:last], _is_unspaced):
        length = len("".join(group))
        if is_unspaced:
            yield from _characters(run[at : at + length], at)
        else:
            yield at, at + length
        at += length
    yield from ((at, at + 1) for at in range(last, len(run)))


def _characters(part: str, start: int) -> Iterator[tuple[int, int]]:
    """Cut before each character that is no mark of the one before it."""
    begin = 0
    for at in range(1, len(part) + 1):
        if at == len(part) or not unicodedata.category(part[at]).startswith("M"):
            yield start + begin, start + at
            begin = at


def _is_inside(character: str) -> bool:
    """Return whether a word may begin or end with it: letters, digits, marks, no punctuation."""
    return unicodedata.category(character)[0] in "LMN"


def _is_unspaced(character: str) -> bool:
    if character < "\u0e00":
        return False
    return unicodedata.name(character, "").startswith(_UNSPACED)
