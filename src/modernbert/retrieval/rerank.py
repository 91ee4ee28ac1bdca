"""Found documents in, the same in the order of a model that reads query and document together."""

from collections.abc import Sequence

import numpy as np

from modernbert.base.errors import ConfigError
from modernbert.base.log import meter
from modernbert.infer.classify import label_scores
from modernbert.infer.pretrained import Pretrained
from modernbert.retrieval.hits import Hits, in_order

_QUERIES = 16
"""Whose documents are read at once: enough that alike lengths meet in a batch."""


def check_reranker(model: Pretrained) -> None:
    """Refuse a model that gives a pair no score, or several.

    Raises:
        ConfigError: it has no head that scores texts, or one with several labels.
    """
    head = model.model.head_config
    if head is None or head.kind != "sequence":
        raise ConfigError(
            "a reranker has a head that scores pairs of texts, and this model has none: make one "
            "with `modernbert train-retriever rerank`"
        )
    number = head.num_scores
    if number != 1:
        raise ConfigError(f"a reranker gives one score, and this model {number}: name another")


def rerank(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], found: Sequence[Hits]
) -> list[Hits]:
    """Return the hits of each query, those that fit it best by the model's score first.

    Raises:
        ConfigError: the model gives no single score, see `check_reranker`.
    """
    check_reranker(model)
    ordered: list[Hits] = []
    with meter("reranking", len(queries)) as bar:
        for start in range(0, len(queries), _QUERIES):
            some = found[start : start + _QUERIES]
            pairs = [
                (query, documents[number])
                for query, hits in zip(queries[start:], some, strict=False)
                for number in hits.numbers.tolist()
            ]
            scores = label_scores(model, pairs)[:, 0].numpy()
            ends = np.cumsum([len(hits.numbers) for hits in some])[:-1]
            parts = np.split(scores, ends)
            ordered += [
                in_order(hits.numbers, part) for hits, part in zip(some, parts, strict=True)
            ]
            bar.at(start + len(some))
    return ordered
