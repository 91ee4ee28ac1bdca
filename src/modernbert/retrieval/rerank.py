"""Found documents in, the same in the order of a second model out.

A cross-encoder reads query and document together; a late-interaction model compares their tokens.
"""

from collections.abc import Sequence

import numpy as np

from modernbert.base.errors import ConfigError
from modernbert.base.log import meter
from modernbert.infer.classify import label_scores
from modernbert.infer.pretrained import Pretrained
from modernbert.retrieval.exact import scored
from modernbert.retrieval.hits import Chosen, Hits, in_order

_QUERIES = 16
"""Whose documents are read at once: enough that alike lengths meet in a batch."""


def check_reranker(model: Pretrained) -> None:
    """Refuse a model that gives a pair no score of its own, or several.

    Raises:
        ConfigError: it has neither a head with one score nor a vector a token.
    """
    if model.sentence.config.late is not None:
        return
    head = model.model.head_config
    if head is None or head.kind != "sequence":
        raise ConfigError(
            "a reranker has a head that scores pairs of texts, or a vector a token, and this model "
            "neither: make one with `modernbert train-retriever rerank` or `colbert`"
        )
    if head.num_scores != 1:
        raise ConfigError(
            f"a reranker gives one score, and this model {head.num_scores}: name another"
        )


def rerank(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], found: Sequence[Hits]
) -> list[Hits]:
    """Return the hits of each query, those that fit it best by the model's score first.

    Raises:
        ConfigError: the model gives no single score, see `check_reranker`.
    """
    check_reranker(model)
    by = _compared if model.sentence.config.late is not None else _read
    return by(model, queries, documents, found)


def _read(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], found: Sequence[Hits]
) -> list[Hits]:
    """Let a cross-encoder read each pair."""
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


def _compared(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], found: Sequence[Hits]
) -> list[Hits]:
    """Encode each document once, whichever queries found it, and compare its tokens."""
    numbers = np.unique(np.concatenate([hits.numbers for hits in found]))
    places = np.zeros((len(found), max(len(hits.numbers) for hits in found)), dtype=np.int64)
    for row, hits in zip(places, found, strict=True):
        row[: len(hits.numbers)] = np.searchsorted(numbers, hits.numbers)
    chosen = Chosen(places, len(numbers))
    texts = [documents[number] for number in numbers.tolist()]
    for some, scores in scored(model, queries, texts):
        chosen.add(scores.float().cpu().numpy(), np.array(some))
    return [
        in_order(hits.numbers, row[: len(hits.numbers)])
        for hits, row in zip(found, chosen.scores, strict=True)
    ]
