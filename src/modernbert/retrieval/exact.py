"""A model, queries and documents in, each query's best documents out: every one is compared."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from modernbert.base.log import meter
from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.data.tokenizer import Ids
from modernbert.infer import embed, reading
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText
from modernbert.kernels.maxsim import maxsim
from modernbert.retrieval.hits import Best, Hits
from modernbert.retrieval.vectors import (
    DOCUMENT_PROMPTS,
    QUERY_PROMPTS,
    check_similarity,
    compared,
    cut_to,
    length_read,
    prompt_among,
)

SHARD = 1024
"""Documents whose vectors are in memory at once."""

_SHARD_CHARACTERS = 2**23
"""Of their texts: a vector a token takes some 128 numbers each."""
_LONGEST_TOKEN = 16
"""Characters of a token, so that what is cut away is not counted."""

_Scores = Callable[[Sequence[str], Sequence[int]], Iterator[tuple[int, Tensor]]]
"""Scores at each length, the largest first."""


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
    for numbers, scores in scored(model, queries, documents, SHARD):
        best.add(scores.float().cpu().numpy(), np.array(numbers))
    return best.hits()


def scored(
    model: Pretrained, queries: Sequence[str], documents: Sequence[str], shard: int = SHARD
) -> Iterator[tuple[list[int], Float[Tensor, "Q S"]]]:
    """Yield the numbers of some documents and how well each fits every query, until all came.

    Raises:
        ConfigError: the model compares vectors in a way that is not known here.
        DataError: a text holds what is no character.
    """
    lengths = (length_read(model),)
    for numbers, _, scores in scored_at(model, queries, documents, lengths, shard):
        yield numbers, scores


@torch.no_grad()
def scored_at(
    model: Pretrained,
    queries: Sequence[str],
    documents: Sequence[str],
    lengths: Sequence[int],
    shard: int = SHARD,
) -> Iterator[tuple[list[int], int, Float[Tensor, "Q S"]]]:
    """Yield the same, of documents cut at each length in tokens, with the length in the middle.

    A text is tokenized once, and encoded again only for the lengths that cut it. Queries are cut
    at the largest length, or at the length that a late-interaction model has for them.

    Raises:
        ConfigError: the model compares vectors in a way that is not known here.
        DataError: a text holds what is no character.
    """
    lengths = sorted(lengths, reverse=True)
    score = _scorer(model, queries, lengths[0])
    # Alike lengths fill batches evenly; which shard a document is in changes no score.
    order = sorted(range(len(documents)), key=lambda n: -len(documents[n]))
    done = 0
    with meter("documents", len(documents)) as bar:
        for numbers in shards(documents, order, lengths[0], shard):
            for length, scores in score([documents[n] for n in numbers], lengths):
                yield numbers, length, scores
            done += len(numbers)
            bar.at(done)


def shards(
    documents: Sequence[str], order: Sequence[int], longest: int, shard: int = SHARD
) -> Iterator[list[int]]:
    """Yield so many documents at a time that their vectors have room; at least one."""
    rest = iter(order)
    for first in rest:
        size = min(len(documents[first]), longest * _LONGEST_TOKEN)
        most = min(shard, _SHARD_CHARACTERS // max(1, size))
        yield [first, *islice(rest, max(0, most - 1))]


def _scorer(model: Pretrained, queries: Sequence[str], longest: int) -> _Scores:
    config = model.sentence.config
    if config.late is not None:
        return _late_scores(model, queries, longest)
    similarity = config.similarity
    check_similarity(similarity)
    before, prompt = (
        reading.prompt_named(config, prompt_among(config, names))
        for names in (QUERY_PROMPTS, DOCUMENT_PROMPTS)
    )

    def read(texts: Sequence[str], prompt: str) -> list[Ids]:
        return reading.with_ends(model.tokenizer, texts, prompt, longest)

    def vectors(ids: Sequence[Ids], prompt: str, length: int = longest) -> Tensor:
        count = reading.num_prompt_tokens(model.tokenizer, prompt, length)
        return compared(embed.vectors_of_texts(model.runs, model.sentence, ids, count), similarity)

    asked = vectors(read(queries, before), before)

    def scores(texts: Sequence[str], lengths: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        whole = read(texts, prompt)
        found = vectors(whole, prompt)
        for length in lengths:
            long = [n for n, ids in enumerate(whole) if len(ids) > length]
            if long:
                found[long] = vectors([cut_to(whole[n], length) for n in long], prompt, length)
            yield length, asked @ found.T

    return scores


def _late_scores(model: Pretrained, queries: Sequence[str], longest: int) -> _Scores:
    asked, layout = _joined(model.token_vectors(queries, is_query=True))
    config, late = model.sentence.config, model.sentence.config.late
    assert late is not None
    config = replace(config, late=replace(late, document_length=longest))

    def vectors(read: Sequence[ReadText]) -> list[Tensor]:
        found = embed.vectors_of_tokens(model.runs, model.sentence, read)
        return [
            x[reading.kept(model.tokenizer, late, text.ids, is_query=False)]
            for x, text in zip(found, read, strict=True)
        ]

    def scores(texts: Sequence[str], lengths: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        whole = reading.side_of(model.tokenizer, config, texts, is_query=False)
        found = vectors(whole)
        for length in lengths:
            long = [n for n, text in enumerate(whole) if len(text.ids) > length]
            shorter = [cut_to(whole[n].ids, length) for n in long]
            again = vectors([ReadText(ids, len(ids)) for ids in shorter]) if long else []
            for number, each in zip(long, again, strict=True):
                found[number] = each
            yield length, maxsim(asked, layout, *_joined(found))

    return scores


def _joined(vectors: Sequence[Tensor]) -> tuple[Tensor, Layout]:
    return torch.cat(list(vectors)), Layout.of([len(each) for each in vectors])
