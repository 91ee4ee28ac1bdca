"""A corpus in, passages of its held-out text out, labelled by what can be seen of them.

Nobody has to label anything, so there is a suite of probes for every language. All passages have
one length unless they are to be told apart by it, and the same come out at every call.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modernbert.base import rng
from modernbert.base.errors import DataError
from modernbert.data.chunks import AROUND, ChunkTable
from modernbert.data.corpus import Corpus
from modernbert.data.order import permuted

SUITE = "suite"
"""What stands for all of these where probes are named."""
_TOKENS = 24
"""Of a passage, as many as a sentence has."""
_PASSAGES = 1500
_FEWEST = 150
_LEAST = 50
"""With fewer passages a probe says nothing, and is left out."""
_LENGTHS = 6
_WORDS = 10
_RARE, _COMMON = 0.01, 0.1
"""Shares of the passages that a token to be looked for is in."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Passages with a label each."""

    name: str
    passages: tuple[Ids, ...]
    labels: tuple[int, ...]
    origins: tuple[int, ...]
    """Numbers of the passages they were made of: one is not on both sides of a probe."""


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    numbers: Ids
    sources: Ids
    ids: Ids
    """A passage a row, [CLS] and [SEP] around it."""
    passages: tuple[Ids, ...]
    """The same rows: probes that change nothing share them."""


def suite(corpus: Corpus) -> list[Told]:
    """Return the passages of each probe that the corpus has text for.

    `source`: which source a passage is from, where there are several. `word`: which of ten tokens
    is in it; `length`: which of six lengths it has; `order`: whether two neighbours have changed
    places (the last three after WC, SentLen and BShift of Conneau et al. 2018, arXiv 1805.01070).

    Raises:
        DataError: there is too little held-out text.
    """
    drawn = _drawn(corpus)
    if len(drawn.numbers) < _FEWEST:
        raise DataError(
            f"{corpus.folder} holds out {len(drawn.numbers)} passages of {_TOKENS} tokens, and "
            f"--probes suite needs {_FEWEST}: prepare it with a larger --heldout-fraction, or name "
            "files of labelled texts"
        )
    found = [_by_source(drawn), _by_word(drawn), _by_length(drawn), _by_order(drawn)]
    return [told for told in found if len(told.labels) >= _LEAST and len(set(told.labels)) > 1]


def _drawn(corpus: Corpus) -> _Drawn:
    table = ChunkTable(corpus, "heldout", _TOKENS + AROUND)
    numbers, sources = [], []
    bounds = table.source_starts.tolist()
    for source, (first, stop) in enumerate(itertools.pairwise(bounds)):
        own = first + permuted(np.arange(stop - first), stop - first, rng.key(0, "probes", source))
        whole = own[table.lengths(own) == _TOKENS + AROUND][: -(-_PASSAGES // (len(bounds) - 1))]
        numbers.append(whole)
        sources.append(np.full(len(whole), source))
    chosen = np.concatenate([np.zeros(0, dtype=np.int64), *numbers])
    ids = table.rows(chosen, chosen).ids.reshape(len(chosen), -1) if len(chosen) else chosen
    owners = np.concatenate([np.zeros(0, dtype=np.int64), *sources])
    return _Drawn(chosen, owners, ids, tuple(ids))


def _told(name: str, drawn: _Drawn, passages: tuple[Ids, ...], labels: Ids) -> Told:
    return Told(name, passages, tuple(labels.tolist()), tuple(drawn.numbers.tolist()))


def _by_source(drawn: _Drawn) -> Told:
    return _told("source", drawn, drawn.passages, drawn.sources)


def _by_word(drawn: _Drawn) -> Told:
    """Look for the most frequent tokens below the commonest, in passages that hold just one."""
    pairs = np.unique(
        np.stack([np.repeat(drawn.numbers, _TOKENS), drawn.ids[:, 1:-1].ravel()], axis=1), axis=0
    )
    tokens, times = np.unique(pairs[:, 1], return_counts=True)
    shares = times / len(drawn.numbers)
    fit = (shares >= _RARE) & (shares <= _COMMON)
    order = np.argsort(-times[fit], kind="stable")[:_WORDS]
    wanted = tokens[fit][order]
    is_in = (drawn.ids[:, 1:-1, None] == wanted).any(1)
    kept = np.flatnonzero(is_in.sum(1) == 1)
    passages = tuple(drawn.passages[place] for place in kept)
    labels = is_in[kept].argmax(1) if len(wanted) else kept
    return Told("word", passages, tuple(labels.tolist()), tuple(drawn.numbers[kept].tolist()))


def _by_length(drawn: _Drawn) -> Told:
    labels = (rng.uniform(rng.key(0, "probe length"), _addresses(drawn)) * _LENGTHS).astype(int)
    kept = (labels + 1) * _TOKENS // _LENGTHS
    cut = [np.append(row[: 1 + long], row[-1]) for row, long in zip(drawn.ids, kept, strict=True)]
    return _told("length", drawn, tuple(cut), labels)


def _by_order(drawn: _Drawn) -> Told:
    """Change two neighbours' places in half of the passages; where all are equal, nothing is."""
    passages, labels = [], []
    halves = rng.uniform(rng.key(0, "probe order"), _addresses(drawn)) < 0.5
    places = rng.uniform(rng.key(0, "probe place"), _addresses(drawn))
    for row, is_changed, place in zip(drawn.ids, halves, places, strict=True):
        differ = 1 + np.flatnonzero(row[1:-2] != row[2:-1])
        changed = row.copy()
        if is_changed and len(differ):
            at = differ[int(place * len(differ))]
            changed[[at, at + 1]] = row[[at + 1, at]]
        passages.append(changed)
        labels.append(int(is_changed and len(differ) > 0))
    return _told("order", drawn, tuple(passages), np.array(labels))


def _addresses(drawn: _Drawn) -> NDArray[np.uint64]:
    return drawn.numbers.astype(np.uint64)
