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
MEASURES = ("ndcg@10", "mrr@10", "recall@100")
_TREC = {"ndcg@10": "ndcg_cut.10", "mrr@10": "recip_rank", "recall@100": "recall.100"}
_FLIPS = 10_000


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
    """Return nDCG@10, MRR@10 and recall@100 of each judged query, as trec_eval counts them.

    Equal scores are ordered by id, the later first, as trec_eval does. A query for which nothing
    was found has 0.
    """
    package = check_installed()
    plain = {query: dict(each) for query, each in judged.items()}
    whole = _evaluated(package, plain, found, ("ndcg@10", "recall@100"))
    first = {query: dict(_first(each, 10)) for query, each in found.items()}
    ranked = _evaluated(package, plain, first, ("mrr@10",))
    nothing = dict.fromkeys(MEASURES, 0.0)
    return {query: nothing | whole.get(query, {}) | ranked.get(query, {}) for query in judged}


def means(measured: Measured) -> dict[str, float]:
    """Return the mean of each measure over all queries."""
    return {name: float(np.mean([each[name] for each in measured.values()])) for name in MEASURES}


def chance(one: Measured, other: Measured, measure: str = "ndcg@10") -> float:
    """Return how likely a difference as large as theirs is where both are equally good.

    Fisher's randomization test over the queries, two-sided (Smucker et al., CIKM 2007), by 10,000
    draws that are the same each time.
    """
    gaps = np.array([each[measure] - other[query][measure] for query, each in one.items()])
    signs = rng.generator(0, "randomization test").integers(0, 2, (_FLIPS, len(gaps))) * 2 - 1
    drawn = np.abs(signs @ gaps)
    # What was measured is one of the draws, so that nothing is impossible.
    return float((1 + (drawn >= abs(gaps.sum()) - 1e-9).sum()) / (1 + _FLIPS))


def _evaluated(
    package: Any,
    judged: dict[str, dict[str, int]],
    found: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
) -> Measured:
    evaluator = package.RelevanceEvaluator(judged, {_TREC[name] for name in names})
    answered = {query: dict(each) for query, each in found.items() if each}
    rows = evaluator.evaluate(answered) if answered else {}
    keys = {name: _TREC[name].replace(".", "_") for name in names}
    return {query: {name: row[key] for name, key in keys.items()} for query, row in rows.items()}


def _first(found: Mapping[str, float], number: int) -> list[tuple[str, float]]:
    """Return the best as trec_eval orders them, which looks at no order that it is given."""
    return sorted(found.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:number]
