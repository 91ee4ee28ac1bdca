"""A query and documents in, what has a model order them by how well each fits out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.data.examples import Cut
from modernbert.infer.classify import labelling
from modernbert.infer.embedding import token_tensors
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import check_list
from modernbert.infer.replies import Ranked
from modernbert.infer.work import Work
from modernbert.kernels.maxsim import maxsim


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


def reranking(
    model: Pretrained,
    query: str,
    documents: Sequence[str],
    *,
    is_raw: bool = False,
    cut: Cut = "right",
) -> Work[list[Ranked]]:
    """Return what has a model order documents, the best first; equal ones keep their order.

    A cross-encoder reads each with the query, and its score goes through a sigmoid; one of late
    interaction compares tokens, and its score is the mean over the query's tokens. Raw scores are
    those before the sigmoid, and the sum.

    Raises:
        ConfigError: the model gives no single score, see `check_reranker`.
        DataError: the query is empty, or a document is no text.
    """
    check_reranker(model)
    check_list(documents, "documents")
    if not isinstance(query, str) or not query.strip():
        raise DataError("the query is empty: ask for something")
    work = (
        _compared(model, query, documents, is_raw, cut)
        if model.sentence.config.late is not None
        else _read(model, query, documents, is_raw, cut)
    )
    return work.then(_in_order)


def matching(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], cut: Cut = "right"
) -> Work[Float[Tensor, "Q S"]]:
    """Return what has a model compare the tokens of queries and documents: MaxSim of all pairs.

    Raises:
        ConfigError: it gives a vector a text.
        DataError: a text cannot be read.
    """
    asked = token_tensors(model, queries, is_query=True, cut=cut)
    read = token_tensors(model, documents, is_query=False, cut=cut)
    count = len(asked.documents)

    def finish(rows: Sequence[Tensor]) -> Tensor:
        return maxsim(*_laid_out(rows[:count]), *_laid_out(rows[count:]))

    return Work(asked.readout, [*asked.documents, *read.documents], finish)


def _read(
    model: Pretrained, query: str, documents: Sequence[str], is_raw: bool, cut: Cut
) -> Work[Float[Tensor, "S"]]:
    """Let a cross-encoder read each pair."""
    work = labelling(model, [(query, document) for document in documents], cut)
    return work.then(lambda scores: scores[:, 0] if is_raw else scores[:, 0].sigmoid())


def _compared(
    model: Pretrained, query: str, documents: Sequence[str], is_raw: bool, cut: Cut
) -> Work[Float[Tensor, "S"]]:
    work = matching(model, [query], documents, cut)
    places = work.documents[0].places or ()
    return work.then(lambda scores: scores[0] if is_raw else scores[0] / max(1, len(places)))


def _laid_out(rows: Sequence[Tensor]) -> tuple[Tensor, Layout]:
    return torch.cat([*rows]), Layout.of([len(row) for row in rows])


def _in_order(scores: Float[Tensor, "S"]) -> list[Ranked]:
    listed = scores.tolist()
    return [Ranked(at, listed[at]) for at in sorted(range(len(listed)), key=lambda at: -listed[at])]
