"""Search in an index, and what a query's tokens find in a passage."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, Field
from torch import Tensor

from modernbert.infer.embedding import token_tensors
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reranking import reranking
from modernbert.infer.work import Work
from modernbert.retrieval.answers import Found
from modernbert.retrieval.options import Mode, SearchOptions
from modernbert.retrieval.vectors import query_encoding
from modernbert.serve.call import Call, check_items
from modernbert.serve.endpoint import Route
from modernbert.serve.refusals import RefusedError

_MOST_FOUND = 1000
_RERANKED = 50


class SearchRequest(BaseModel):
    """What is looked for."""

    query: str | list[str]
    index: str | None = None
    """Name of an index; by default the first."""
    number: Annotated[int, Field(ge=1, le=_MOST_FOUND)] = 10
    """Documents to find for each query."""
    mode: Mode = "hybrid"
    """By the model's vectors (dense), by BM25 (words), or by both together."""
    filter: list[str] = Field(default_factory=list, max_length=32)
    """Conditions on metadata that all must hold, such as "year>=2020" or "lang=en|de"."""
    reranker: str | None = None
    """Name of a served model that orders the best of what was found."""
    return_text: bool = False
    """Return whole texts, not passages alone."""
    token_scores: bool = False
    """Of late interaction: return how well each token of a passage fits the query."""


class TokenScore(BaseModel):
    """A token of a passage, in characters, and its best cosine with a token of the query."""

    start: int
    end: int
    score: float


class Passage(BaseModel):
    """The part of a document that fits best, in characters of its text."""

    text: str
    start: int
    end: int
    highlights: list[tuple[int, int]]
    """Characters of the passage that are words of the query."""
    tokens: list[TokenScore] | None = None


class Hit(BaseModel):
    """A document that was found."""

    id: str
    score: float
    title: str
    metadata: dict[str, Any]
    snippet: Passage
    text: str | None = None


class SearchReply(BaseModel):
    """What was found for each query, the best first."""

    index: str
    results: list[list[Hit]]


async def search(call: Call, asked: SearchRequest) -> Any:
    """Return the documents of an index that fit each query, with the passages that fit best."""
    served = call.house.shelf.index(asked.index)
    queries = [asked.query] if isinstance(asked.query, str) else asked.query
    check_items(len(queries), call.house.settings.max_items)
    call.saw(queries)
    number = max(asked.number, _RERANKED) if asked.reranker else asked.number
    options = SearchOptions(number=number, mode=asked.mode, filter=tuple(asked.filter))
    vectors = None
    if asked.mode != "words":
        model = served.model
        read = partial(query_encoding, model.engine.model, queries)
        vectors = await call.run(model, model.engine.main_ability, len(queries), read)
    look = partial(served.index.search, queries, options, vectors)
    found = await served.model.engine.apart(look)
    if asked.reranker:
        found = [
            (await _reranked(call, asked.reranker, query, hits))[: asked.number]
            for query, hits in zip(queries, found, strict=True)
        ]
    results = [[_plain(hit, asked.return_text) for hit in hits] for hits in found]
    if asked.token_scores:
        for query, hits in zip(queries, results, strict=True):
            await _score_tokens(call, asked, query, hits)
    return {"index": served.name, "results": results}


async def _reranked(call: Call, name: str, query: str, hits: Sequence[Found]) -> list[Found]:
    if not hits:
        return []
    model = call.house.shelf.find(name, "rerank")
    texts = [hit.text for hit in hits]
    read = partial(reranking, model.engine.model, query, texts, is_raw=True)
    ranked = await call.run(model, "rerank", len(texts), read)
    return [replace(hits[each.number], score=each.score) for each in ranked]


def _plain(hit: Found, has_text: bool) -> dict[str, Any]:
    return {
        "id": hit.id,
        "score": hit.score,
        "title": hit.title,
        "metadata": dict(hit.metadata),
        "snippet": {
            "text": hit.snippet.text,
            "start": hit.snippet.start,
            "end": hit.snippet.end,
            "highlights": hit.snippet.highlights,
        },
        **({"text": hit.text} if has_text else {}),
    }


async def _score_tokens(
    call: Call, asked: SearchRequest, query: str, hits: Sequence[dict[str, Any]]
) -> None:
    """Add to each passage how well its tokens fit."""
    model = call.house.shelf.index(asked.index).model
    if "token_vectors" not in model.engine.abilities:
        raise RefusedError(
            422,
            "Validation",
            f"{model.name} gives each text one vector, so its tokens have no scores: leave "
            "token_scores out",
        )
    if not hits:
        return
    passages = [hit["snippet"]["text"] for hit in hits]
    read = partial(_fitting, model.engine.model, query, passages)
    scores = await call.run(model, "token_vectors", len(passages), read)
    for hit, tokens in zip(hits, scores, strict=True):
        hit["snippet"]["tokens"] = tokens


def _fitting(
    model: Pretrained, query: str, passages: Sequence[str]
) -> Work[list[list[dict[str, Any]]]]:
    """Have a model compare each token of some passages with those of a query."""
    asked = token_tensors(model, [query], is_query=True)
    read = token_tensors(model, passages, is_query=False)
    places = [offsets for _, offsets in model.tokenizer.encode_with_offsets(passages)]

    def finish(rows: Sequence[Tensor]) -> list[list[dict[str, Any]]]:
        return [
            [
                {"start": start, "end": end, "score": score}
                for (start, end), score in zip(own, best, strict=True)
            ]
            for own, best in (
                _of_text(text.places or (), offsets.tolist(), (row @ rows[0].T).amax(1).tolist())
                for text, offsets, row in zip(read.documents, places, rows[1:], strict=True)
            )
        ]

    return Work(asked.readout, [*asked.documents, *read.documents], finish)


def _of_text(
    kept: Sequence[int], offsets: Sequence[tuple[int, int]], best: Sequence[float]
) -> tuple[list[tuple[int, int]], list[float]]:
    """Leave out the marks before and behind a passage: its tokens are the last but one."""
    last = kept[-1] if kept else 0
    before = last - len(offsets)
    found = [
        (offsets[place - before], score)
        for place, score in zip(kept, best, strict=True)
        if 0 <= place - before < len(offsets)
    ]
    return [(a, b) for (a, b), _ in found], [score for _, score in found]


ROUTES = (
    Route(
        path="/search",
        says="Find the documents of an index that fit queries.",
        handler=search,
        request=SearchRequest,
        reply=SearchReply,
    ),
)
