"""A tokenizer and a case in, the requests that all servers are sent, in a fixed order, out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modernbert.base.rng import generator
from modernbert.bench.serving_case import KINDS, Kind, ServingCase
from modernbert.data.tokenizer import Ids, Tokenizer

_BLOCKS = 20
"""Hundreds of requests before they come again."""
_MARKS = 2
"""[CLS] and [SEP]."""
_QUERY = (16, 4, 6, 32)
_PASSAGE = (200, 50, 64, 400)
"""Mean, deviation, and the least and most tokens."""
_DOCUMENT = (1024, 8192)


@dataclass(frozen=True, slots=True)
class Request:
    """One text that is sent."""

    kind: Kind
    tokens: int
    """That the model reads."""
    text: str


def requests_of(
    texts: Sequence[str], tokenizer: Tokenizer, case: ServingCase, max_length: int
) -> list[Request]:
    """Cut pieces out of running text; each hundred of them has as many of each kind, shuffled."""
    # Spelled out in a text, special tokens stay text here and are tokens elsewhere.
    words = [tokenizer.decode([number], keep_special=True) for number in tokenizer.special_ids]
    ids = np.concatenate(tokenizer.encode_many([_without(text, words) for text in texts]))
    kinds = _kinds(case)
    lengths = {kind: iter(lengths_of(kind, kinds.count(kind), case.seed)) for kind in KINDS}
    starts = generator(case.seed, "serving", "starts").integers(0, 2**62, len(kinds))
    pieces = [
        _piece(ids, int(start), next(lengths[kind]) - _MARKS, tokenizer)
        for kind, start in zip(kinds, starts, strict=True)
    ]
    read = [min(len(each) + _MARKS, max_length) for each in tokenizer.encode_texts(pieces)]
    return [Request(*each) for each in zip(kinds, read, pieces, strict=True)]


def lengths_of(kind: Kind, number: int, seed: int) -> list[int]:
    """Draw lengths in tokens; those of documents are as often below as above half the ratio."""
    draw = generator(seed, "serving", kind)
    if kind == "document":
        low, high = map(np.log, _DOCUMENT)
        # Evenly, as there are few: each octave has as many.
        drawn = np.exp(low + (high - low) * draw.permutation(np.linspace(0, 1, number)))
    else:
        mean, deviation, least, most = _QUERY if kind == "query" else _PASSAGE
        drawn = draw.normal(mean, deviation, number).clip(least, most)
    return [round(float(each)) for each in drawn]


def write_requests(path: Path, requests: Sequence[Request]) -> None:
    """Write a line of JSON for each, for the process that sends them."""
    lines = (json.dumps([each.kind, each.tokens, each.text]) for each in requests)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _kinds(case: ServingCase) -> list[Kind]:
    block = [kind for kind in KINDS for _ in range(case.of_hundred[kind])]
    orders = (
        generator(case.seed, "serving", "order", at).permutation(len(block))
        for at in range(_BLOCKS)
    )
    return [block[place] for order in orders for place in order]


def _without(text: str, words: Sequence[str]) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


def _piece(ids: Ids, start: int, length: int, tokenizer: Tokenizer) -> str:
    first = start % max(1, len(ids) - length)
    # sentence-transformers takes the spaces around a text away, and we do not.
    return tokenizer.decode(ids[first : first + length]).strip()
