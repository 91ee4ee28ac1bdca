"""Found documents in, the same in the order of a second model out.

A cross-encoder reads query and document together; a late-interaction model compares their tokens.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from modernbert.base.log import meter
from modernbert.batch import Layout
from modernbert.infer.classify import label_scores
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reranking import check_reranker
from modernbert.kernels.maxsim import maxsim
from modernbert.retrieval.exact import shards
from modernbert.retrieval.hits import Hits, in_order
from modernbert.retrieval.vectors import length_read

_QUERIES = 16
"""Whose documents are read at once: enough that alike lengths meet in a batch."""


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
    """Encode each document once, and compare its tokens with the queries that found it alone."""
    asked = model.token_vectors(queries, is_query=True)
    finders: dict[int, list[int]] = {}
    for query, hits in enumerate(found):
        for number in hits.numbers.tolist():
            finders.setdefault(number, []).append(query)
    scores: dict[tuple[int, int], float] = {}
    with meter("reranking", len(finders)) as bar:
        pieces = _vectors(model, documents, [*finders])
        for done, (number, tokens) in enumerate(pieces, start=1):
            fits = _fits([asked[query] for query in finders[number]], tokens)
            scores |= {
                (query, number): fit for query, fit in zip(finders[number], fits, strict=True)
            }
            bar.at(done)
    return [
        in_order(
            hits.numbers,
            np.array([scores[query, number] for number in hits.numbers.tolist()], dtype=np.float32),
        )
        for query, hits in enumerate(found)
    ]


def _vectors(
    model: Pretrained, documents: Sequence[str], numbers: Sequence[int]
) -> Iterator[tuple[int, Tensor]]:
    """Yield some documents with the vectors of their tokens, those of a shard in memory."""
    order = sorted(numbers, key=lambda number: -len(documents[number]))
    for some in shards(documents, order, length_read(model)):
        texts = [documents[number] for number in some]
        yield from zip(some, model.token_vectors(texts, is_query=False), strict=True)


def _fits(queries: Sequence[Tensor], document: Tensor) -> list[float]:
    layout = Layout.of([len(query) for query in queries])
    fits: list[float] = maxsim(torch.cat([*queries]), layout, document, Layout.of([len(document)]))[
        :, 0
    ].tolist()
    return fits
