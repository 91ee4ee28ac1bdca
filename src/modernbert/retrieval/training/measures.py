"""A judged set or labelled pairs in, what measures a live model of sentence-transformers out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from modernbert.base import rng
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import say
from modernbert.data.judged import JudgedSet
from modernbert.data.pairs import Pair, PairSet
from modernbert.retrieval.lexical import Lexical
from modernbert.retrieval.training.recipes import Kind

Measure = Callable[[Any], dict[str, float]]
"""A model in, its measures out; the first one decides which model is the best."""

_BATCH = 32
_CANDIDATES = 50
"""Documents of a query that a reranker orders."""
_ORDERED = 300
"""Queries whose documents a reranker orders, at most: it reads each pair of texts, and more of them
would take longer than the training that they measure."""
_FEWEST_SCORES = 2
_MEASURES = ("ndcg@10", "mrr@10", "recall@100", "query_active_dims", "corpus_active_dims")


def check_measured(kind: Kind, measured: PairSet | JudgedSet, where: str) -> None:
    """Refuse what no model can be measured on.

    Raises:
        ConfigError: the kind is not measured by scores of pairs.
        DataError: nothing answers a query, or the pairs' scores have no order.
    """
    if isinstance(measured, JudgedSet):
        if not measured.answers():
            raise DataError(
                f"{where}: no judged query has an answer in the corpus, so nothing can be "
                "measured: give another --evaluate, or another --split of it"
            )
        return
    if measured.holding != "labels":
        return
    if kind == "colbert":
        raise ConfigError(
            f"{where} has a score of each pair, and colbert is measured by what it finds: give "
            "--dev pairs that answer, without scores"
        )
    different = len({pair.scores[0] for pair in measured.pairs})
    if different < _FEWEST_SCORES:
        raise DataError(
            f"{where} leaves {len(measured.pairs)} scored pairs to measure on, with {different} "
            f"different scores, and an order needs {_FEWEST_SCORES}: give more rows, or another "
            "--dev"
        )


def searching(kind: Kind, judged: JudgedSet, seed: int) -> Measure:
    """Measure how well a model finds, or a reranker orders, what was judged to answer.

    A reranker is measured on some of many queries, which the seed draws.
    """
    relevant = judged.answers()
    if kind == "rerank":
        drawn = _drawn(relevant, seed)
        amount = f"{len(drawn):,}" + (f" of {len(relevant):,}" if drawn is not relevant else "")
        say(f"measured on {amount} queries, {_CANDIDATES} texts of each")
        return _measured(_reranking(_samples(judged, drawn, seed)))
    say(f"measured on {len(relevant):,} queries among {len(judged.documents):,} documents")
    return _measured(_finding(kind, judged, relevant))


def agreeing(kind: Kind, pairs: Sequence[Pair]) -> Measure:
    """Measure how well a model's scores of pairs follow those that are known (Spearman's rank).

    A model that gives all pairs one score follows nothing, and has 0.
    """
    say(f"measured on {len(pairs):,} scored pairs")
    from sentence_transformers.cross_encoder.evaluation import CrossEncoderCorrelationEvaluator
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
    from sentence_transformers.sparse_encoder.evaluation import SparseEmbeddingSimilarityEvaluator

    queries, documents = [pair.query for pair in pairs], [pair.positive for pair in pairs]
    scores = [pair.scores[0] for pair in pairs]
    if kind == "rerank":
        both = [[*texts] for texts in zip(queries, documents, strict=True)]
        evaluator: Any = CrossEncoderCorrelationEvaluator(both, scores, write_csv=False)
    else:
        made = {
            "dense": EmbeddingSimilarityEvaluator,
            "sparse": SparseEmbeddingSimilarityEvaluator,
        }[kind]
        evaluator = made(queries, documents, scores, write_csv=False, batch_size=_BATCH)

    def measure(model: Any) -> dict[str, float]:
        found = evaluator(model)
        known = (float(value) for name, value in found.items() if "spearman" in name)
        return {"spearman": max(0.0 if math.isnan(value) else value for value in known)}

    return measure


def _drawn(relevant: dict[str, set[str]], seed: int) -> dict[str, set[str]]:
    """Return what answers some of the queries; all of it where they are few."""
    if len(relevant) <= _ORDERED:
        return relevant
    queries = list(relevant)
    places = rng.generator(seed, "measured queries").permutation(len(queries))[:_ORDERED]
    return {queries[place]: relevant[queries[place]] for place in sorted(places.tolist())}


def _finding(kind: Kind, judged: JudgedSet, relevant: dict[str, set[str]]) -> Any:
    from sentence_transformers.multi_vector_encoder.evaluation import (
        MultiVectorInformationRetrievalEvaluator,
    )
    from sentence_transformers.sentence_transformer.evaluation import (
        InformationRetrievalEvaluator,
    )
    from sentence_transformers.sparse_encoder.evaluation import (
        SparseInformationRetrievalEvaluator,
    )

    made = {
        "dense": InformationRetrievalEvaluator,
        "colbert": MultiVectorInformationRetrievalEvaluator,
        "sparse": SparseInformationRetrievalEvaluator,
    }[kind]
    return made(
        judged.queries,
        judged.documents,
        relevant,
        precision_recall_at_k=[10, 100],
        batch_size=_BATCH,
        write_csv=False,
    )


def _reranking(samples: list[dict[str, Any]]) -> Any:
    from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

    return CrossEncoderRerankingEvaluator(
        samples, at_k=10, write_csv=False, batch_size=_BATCH, always_rerank_positives=True
    )


def _samples(judged: JudgedSet, relevant: dict[str, set[str]], seed: int) -> list[dict[str, Any]]:
    """Give each query what answers it among the documents that share its words, or any others."""
    names, texts = list(judged.documents), list(judged.documents.values())
    queries = list(relevant)
    found = Lexical(texts).search([judged.queries[query] for query in queries], _CANDIDATES)
    samples = []
    for number, (query, hits) in enumerate(zip(queries, found, strict=True)):
        drawn = rng.generator(seed, "candidates", number).permutation(len(names))
        places = dict.fromkeys([*hits.numbers.tolist(), *drawn[:_CANDIDATES].tolist()])
        others = [place for place in places if names[place] not in relevant[query]]
        samples.append(
            {
                "query": judged.queries[query],
                "positive": [judged.documents[name] for name in sorted(relevant[query])],
                "negative": [texts[place] for place in others[:_CANDIDATES]],
            }
        )
    return samples


def _measured(evaluator: Any) -> Measure:
    def measure(model: Any) -> dict[str, float]:
        found = {
            name: float(value)
            for name, value in evaluator(model).items()
            if not name.startswith("base_")
        }
        return {
            short: value
            for short in _MEASURES
            for name, value in found.items()
            if name.endswith(short)
        }

    return measure
