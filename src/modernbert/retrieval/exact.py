"""A model, queries and documents in, each query's best documents out: every one is compared."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from modernbert.base.log import meter
from modernbert.batch import Layout
from modernbert.infer.pretrained import Pretrained
from modernbert.kernels.maxsim import maxsim
from modernbert.retrieval.hits import Best, Hits
from modernbert.retrieval.vectors import (
    DOCUMENT_PROMPTS,
    QUERY_PROMPTS,
    check_similarity,
    compared,
    prompt_among,
)

SHARD = 1024
"""Documents whose vectors are in memory at once."""

_Scores = Callable[[Sequence[str]], Tensor]


@torch.no_grad()
def search(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], number: int
) -> list[Hits]:
    """Return the best documents of each query, by the model's own way of comparing vectors.

    One vector a text, sparse ones, or one a token (late interaction). Memory is bounded by
    the queries and 1,024 documents.

    Raises:
        ConfigError: the model compares vectors in a way that is not known here.
        DataError: a text holds what is no character.
    """
    best = Best(len(queries), number)
    for numbers, scores in scored(model, queries, documents):
        best.add(scores.float().cpu().numpy(), np.array(numbers))
    return best.hits()


@torch.no_grad()
def scored(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], shard: int = SHARD
) -> Iterator[tuple[list[int], Float[Tensor, "Q S"]]]:
    """Yield the numbers of some documents and how well each fits every query, until all came.

    Raises:
        ConfigError: the model compares vectors in a way that is not known here.
        DataError: a text holds what is no character.
    """
    score = _scorer(model, queries)
    # Alike lengths fill batches evenly; which shard a document is in changes no score.
    order = sorted(range(len(documents)), key=lambda n: -len(documents[n]))
    with meter("documents", len(documents)) as bar:
        for start in range(0, len(order), shard):
            numbers = order[start : start + shard]
            yield numbers, score([documents[n] for n in numbers])
            bar.at(start + len(numbers))


def _scorer(model: Pretrained, queries: Sequence[str]) -> _Scores:
    config = model.sentence.config
    if config.late is not None:
        return _late_scores(model, queries)
    similarity = config.similarity
    check_similarity(similarity)
    asked = compared(model.embed(queries, prompt_among(config, QUERY_PROMPTS)), similarity)

    def scores(texts: Sequence[str]) -> Tensor:
        vectors = model.embed(texts, prompt_among(config, DOCUMENT_PROMPTS))
        return asked @ compared(vectors, similarity).T

    return scores


def _late_scores(model: Pretrained, queries: Sequence[str]) -> _Scores:
    asked, layout = _joined(model.token_vectors(queries, is_query=True))

    def scores(texts: Sequence[str]) -> Tensor:
        return maxsim(asked, layout, *_joined(model.token_vectors(texts, is_query=False)))

    return scores


def _joined(vectors: Sequence[Tensor]) -> tuple[Tensor, Layout]:
    return torch.cat(list(vectors)), Layout.of([len(each) for each in vectors])
