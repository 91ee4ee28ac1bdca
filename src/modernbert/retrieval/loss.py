"""An index whose vectors were compressed in, how many of the best documents that keeps out."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from modernbert.base.log import hushed
from modernbert.retrieval.index import Index
from modernbert.retrieval.options import IndexOptions, SearchOptions

_DOCUMENTS, _QUERIES, _WORDS = 512, 64, 12
_BEST = 10


@dataclass(frozen=True, slots=True)
class Loss:
    """What compression costs, as a sample of the documents tells without any judgement."""

    documents: int
    queries: int
    kept: float
    """Share of the ten best by whole vectors that are among the ten best by those kept."""


def loss_of(index: Index, model: str, options: IndexOptions) -> Loss | None:
    """Search some hundred documents of an index by beginnings of them, in both ways.

    None where there are too few documents for a choice of ten.

    Raises:
        CheckpointError: the model is not there, or another one.
        MachineError: there is no room for a second index of these documents.
    """
    sample = index.first(_DOCUMENTS)
    if len(sample) <= _BEST:
        return None
    step = -(-len(sample) // _QUERIES)
    queries = [" ".join(each.whole.split()[:_WORDS]) or each.id for each in sample[::step]]
    with TemporaryDirectory() as place, hushed():
        found = [
            Index.create(Path(place) / name, model, sample, asked).rank(
                queries, SearchOptions(number=_BEST, mode="dense", exact=True)
            )
            for name, asked in (("whole", replace(options, compress=())), ("kept", options))
        ]
    shares = [
        np.isin(whole.numbers, kept.numbers).mean() for whole, kept in zip(*found, strict=True)
    ]
    return Loss(len(sample), len(queries), float(np.mean(shares)))
