"""A long text in, pieces that give the ids of the whole out; and where tokens stand in a text."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]

PIECE_CHARS = 100_000
_GROUP_CHARS = 4_000_000
_CHARS_AN_ID = 6
"""More than most texts have, so that their begins need not be encoded twice."""
# A lone blank between two words begins a pre-token of the byte-level pattern, and so does a letter
# after a digit, so cutting there changes no id.
_CUT = re.compile(r"(?<=\S)(?=[ \n]\S)|(?<=[0-9])(?=[A-Za-z])")


def pieces_of(text: str, *, is_cuttable: bool) -> Iterator[str]:
    """Cut a text where no id changes; where there is no such place, in a word, to bound memory."""
    start = 0
    while is_cuttable and len(text) - start > 2 * PIECE_CHARS:
        earliest, latest = start + PIECE_CHARS, start + 2 * PIECE_CHARS
        found = _CUT.search(text, earliest, latest + 1)
        stop = found.start() if found else latest
        yield text[start:stop]
        start = stop
    yield text[start:]


def begins_of(
    texts: Sequence[str], num_ids: int, encode: Callable[[Sequence[str]], list[NDArray[np.int64]]]
) -> list[NDArray[np.int64]]:
    """Return at least so many ids of each text that has as many, without encoding all of it.

    Texts are cut where no id changes; those whose begin has too few ids are encoded to their end.
    """
    stops = [_begin_of(text, num_ids) for text in texts]
    found = encode([text[:stop] for text, stop in zip(texts, stops, strict=True)])
    short = [
        number
        for number, ids in enumerate(found)
        if len(ids) < num_ids and stops[number] < len(texts[number])
    ]
    rests = encode([texts[number][stops[number] :] for number in short])
    for number, rest in zip(short, rests, strict=True):
        found[number] = np.concatenate([found[number], rest])
    return found


def _begin_of(text: str, num_ids: int) -> int:
    earliest = _CHARS_AN_ID * num_ids
    found = _CUT.search(text, earliest) if len(text) > 2 * earliest else None
    return found.start() if found else len(text)


def grouped(pieces: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Share pieces out in order, so that the library's wide encodings never pile up."""
    group: list[tuple[int, str]] = []
    chars = 0
    for index, piece in pieces:
        if group and chars + len(piece) > _GROUP_CHARS:
            yield group
            group, chars = [], 0
        group.append((index, piece))
        chars += len(piece)
    if group:
        yield group


def is_cuttable(spec: dict[str, Any]) -> bool:
    """Say whether cutting where `_CUT` matches can be relied on to change no id."""
    before = spec["pre_tokenizer"] or {}
    normalizer = (spec["normalizer"] or {}).get("type", "NFC")
    added = [token for token in spec["added_tokens"] if not token["special"]]
    return (
        before.get("type") == "ByteLevel"
        and before.get("use_regex", True)
        and not before.get("add_prefix_space")
        and normalizer in ("NFC", "NFD", "NFKC", "NFKD")
        and not any(token["rstrip"] or token["single_word"] for token in added)
        # One more letter stands for the text after the token.
        and not any(_CUT.search(token["content"] + "x") for token in added)
    )


def trimmed(text: str, offsets: Sequence[tuple[int, int]]) -> Offsets:
    """Return where tokens begin and end, [T 2], without blanks before and behind them."""
    found = []
    for begin, end in offsets:
        start, stop = begin, end
        while start < stop and text[start].isspace():
            start += 1
        while stop > start and text[stop - 1].isspace():
            stop -= 1
        found.append((start, stop) if start < stop else (begin, end))
    return np.array(found, dtype=np.int64).reshape(-1, 2)
