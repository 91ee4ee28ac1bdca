"""What a search found and what people judged in; trec_eval's measures, query by query, out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modernbert.base import rng
from modernbert.base.errors import MachineError
from modernbert.retrieval.hits import Hits

Measured = dict[str, dict[str, float]]
"""Measures by query."""
Scored = dict[str, dict[str, float]]
"""Of each query the documents that were found, with their scores, the best first."""
DECISIVE = "ndcg@10"
MEASURES = (DECISIVE, "mrr@10", "mrr@100", "recall@100")
_TREC = {DECISIVE: "ndcg_cut.10", "recall@100": "recall.100"}
_RANK = "recip_rank"
_DEPTHS = {"mrr@10": 10, "mrr@100": 100}
_FLIPS, _FLIPS_AT_ONCE = 10_000, 250


def check_installed() -> Any:
    """Return the package that measures.

    Raises:
        MachineError: it is missing.
    """
    try:
        import pytrec_eval
    except ImportError as error:
        raise MachineError(
            "retrieval is measured by pytrec_eval: pip install 'modernbert[retrieve]'"
        ) from error
    return pytrec_eval


def by_id(hits: Sequence[Hits], queries: Sequence[str], documents: Sequence[str]) -> Scored:
    """Return scores by the ids of queries and documents, the best first."""
    return {
        query: {
            documents[number]: float(score)
            for number, score in zip(each.numbers.tolist(), each.scores.tolist(), strict=True)
        }
        for query, each in zip(queries, hits, strict=True)
    }


def judge(
    judged: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, float]]
) -> Measured:
    """Return `MEASURES` of each judged query, as trec_eval counts them.

    Equal scores are ordered by id, the later first, as trec_eval does. A query for which nothing
    was found has 0.
    """
    package = check_installed()
    plain = {query: dict(each) for query, each in judged.items()}
    rows = {query: dict.fromkeys(MEASURES, 0.0) for query in judged}
    _fill(rows, package, plain, found, _TREC)
    for name, depth in _DEPTHS.items():
        first = {query: dict(_first(each, depth)) for query, each in found.items()}
        _fill(rows, package, plain, first, {name: _RANK})
    return rows


def means(measured: Measured) -> dict[str, float]:
    """Return the mean of each measure over all queries."""
    names = next(iter(measured.values()), {})
    return {name: float(np.mean([each[name] for each in measured.values()])) for name in names}


def chance(one: Measured, other: Measured, measure: str = DECISIVE) -> float:
    """Return how likely a difference as large as theirs is where both are equally good.

    Fisher's randomization test over the queries, two-sided (Smucker et al., CIKM 2007), by 10,000
    draws that are the same each time.
    """
    gaps = np.array([each[measure] - other[query][measure] for query, each in one.items()])
    source = rng.generator(0, "randomization test")
    # Some at a time: of ten thousand queries, all would take gigabytes.
    parts = [
        np.abs((source.integers(0, 2, (_FLIPS_AT_ONCE, len(gaps))) * 2 - 1) @ gaps)
        for _ in range(_FLIPS // _FLIPS_AT_ONCE)
    ]
    drawn = np.concatenate(parts)
    # What was measured is one of the draws, so that nothing is impossible.
    return float((1 + (drawn >= abs(gaps.sum()) - 1e-9).sum()) / (1 + _FLIPS))


def _fill(
    rows: Measured,
    package: Any,
    judged: dict[str, dict[str, int]],
    found: Mapping[str, Mapping[str, float]],
    names: Mapping[str, str],
) -> None:
    """Write measures, by our names and trec_eval's, into the rows of the queries."""
    evaluator = package.RelevanceEvaluator(judged, {*names.values()})
    answered = {query: dict(each) for query, each in found.items() if each}
    for query, row in (evaluator.evaluate(answered) if answered else {}).items():
        rows[query] |= {name: row[key.replace(".", "_")] for name, key in names.items()}


def _first(found: Mapping[str, float], number: int) -> list[tuple[str, float]]:
    """Return the best as trec_eval orders them, which looks at no order that it is given."""
    return sorted(found.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:number]
