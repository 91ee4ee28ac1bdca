"""Judged queries in; for each a right document among random others, and its rank, out.

CodeSearchNet's protocol (arXiv 1909.09436, section 4): each docstring looks for its function among
999 others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modernbert.base import rng
from modernbert.data.judged import JudgedSet
from modernbert.retrieval.hits import standardised

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]


def drawn(given: JudgedSet, distractors: int) -> Numbers:
    """Return for each query the number of a right document, then those of others, [Q 1+K].

    Others are not judged to be right. They depend on the query's id and the corpus alone; a query
    without a right document in the corpus has -1 in front. A small corpus gives fewer.
    """
    place = {name: number for number, name in enumerate(given.documents)}
    right = [
        [place[name] for name in _best_first(judged) if name in place]
        for judged in given.judged.values()
    ]
    most = max(map(len, right), default=0)
    others = min(distractors, len(place) - max(1, most))
    rows = [
        [(own or [-1])[0], *_others(query, own, len(place), others)]
        for query, own in zip(given.judged, right, strict=True)
    ]
    return np.array(rows, dtype=np.int64)


def reciprocal_ranks(scores: Scores, numbers: Numbers) -> NDArray[np.float64]:
    """Return 1 / rank of the first column of each row; equal scores rank before it.

    So CodeSearchNet counts. Where there is no right document, or it was not found, it is 0.
    """
    ranks = (scores >= scores[:, :1]).sum(axis=1)
    is_found = (numbers[:, 0] >= 0) & np.isfinite(scores[:, 0])
    return np.where(is_found, 1.0 / ranks, 0.0)


def fused_scores(several: Sequence[Scores]) -> Scores:
    """Return the sums of the standardised scores of the same documents, scored several times.

    What was not found, -inf, gets what was found last, and so does what has no word of the query:
    counting it as the 0 of `hits.fused` moves MRR among 1,000 by less than .01, to either side.
    """
    return np.stack([_fused_of_one(rows) for rows in zip(*several, strict=True)])


def _fused_of_one(rows: Sequence[Scores]) -> Scores:
    total = np.zeros(rows[0].shape)
    for row in rows:
        is_found = np.isfinite(row)
        if is_found.any():
            scores = standardised(row[is_found])
            found = np.full(row.shape, scores.min())
            found[is_found] = scores
            total += found
    return total.astype(np.float32)


def _best_first(judged: dict[str, int]) -> list[str]:
    right = [name for name, number in judged.items() if number > 0]
    return sorted(right, key=lambda name: -judged[name])


def _others(query: str, own: Sequence[int], size: int, number: int) -> Numbers:
    draws = rng.generator(0, "distractors", query)
    found = draws.choice(size, min(size, number + len(own)), replace=False)
    return found[~np.isin(found, own)][:number]
