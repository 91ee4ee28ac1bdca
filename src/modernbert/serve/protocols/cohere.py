"""Reranking as Cohere (versions 1 and 2), Jina, vLLM and TEI have it."""

from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, Field

from modernbert.infer.pretrained import Pretrained
from modernbert.infer.replies import Ranked
from modernbert.infer.reranking import reranking
from modernbert.infer.work import Work
from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import Direction, ModelName, Positive, Truncate, cut_of


class Document(BaseModel):
    """A document that is an object."""

    text: str


class CohereRequest(BaseModel):
    """Documents that are to be ordered, as Cohere and Jina spell it."""

    model: ModelName = None
    query: str
    documents: list[str | Document]
    top_n: Annotated[int, Field(ge=0, le=2**31)] | None = None
    """Documents that are returned; 0 or none returns all."""
    return_documents: bool | None = None
    """Return their texts: by default version 1 does, as Jina, and version 2 does not, as Cohere."""
    max_tokens_per_doc: Positive | None = None
    """Tokens that are read of a document."""

    def texts(self) -> list[str]:
        """Return the documents' texts."""
        return [each if isinstance(each, str) else each.text for each in self.documents]


class TEIRequest(BaseModel):
    """The same, as TEI spells it."""

    model: ModelName = None
    truncate: Truncate = None
    truncation_direction: Direction = "right"
    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False


class Result(BaseModel):
    """A document by its place in the request, and how well it fits."""

    index: int
    relevance_score: float
    document: Document | None = None


class Units(BaseModel):
    """What a cloud would bill."""

    search_units: int | None = None
    input_tokens: int | None = None


class ApiVersion(BaseModel):
    """Whose shape this is."""

    version: str


class Meta(BaseModel):
    """What Cohere's libraries read beside the results."""

    api_version: ApiVersion
    billed_units: Units


class Total(BaseModel):
    """What Jina's read."""

    prompt_tokens: int
    total_tokens: int


class CohereReply(BaseModel):
    """Documents in order, the best first."""

    id: str
    model: str
    results: list[Result]
    usage: Total
    meta: Meta


class TEIRank(BaseModel):
    """The same, as TEI spells it."""

    index: int
    score: float
    text: str | None = None


async def rerank_v1(call: Call, asked: CohereRequest) -> Any:
    """Order documents, and return their texts."""
    return await _cohere(call, asked, "1", wrong=400)


async def rerank_v2(call: Call, asked: CohereRequest) -> Any:
    """Order documents."""
    return await _cohere(call, asked, "2", wrong=400)


async def rerank(call: Call, asked: TEIRequest | CohereRequest) -> Any:
    """Order documents, in whichever shape they come."""
    if isinstance(asked, CohereRequest):
        return await _cohere(call, asked, "1", wrong=424)
    model = call.house.shelf.find(asked.model, "rerank")
    call.saw([asked.query, *asked.texts])
    by_default = call.house.settings.auto_truncate
    cut = cut_of(asked.truncate, asked.truncation_direction, by_default)
    read = partial(
        reranking, model.engine.model, asked.query, asked.texts, is_raw=asked.raw_scores, cut=cut
    )
    found = await call.run(model, "rerank", len(asked.texts), read)
    return [
        {
            "index": each.number,
            "score": each.score,
            **({"text": asked.texts[each.number]} if asked.return_text else {}),
        }
        for each in found
    ]


async def _cohere(call: Call, asked: CohereRequest, version: str, *, wrong: int) -> Any:
    model = call.house.shelf.find(asked.model, "rerank", wrong=wrong)
    texts = asked.texts()
    call.saw([asked.query, *texts])
    read = partial(_work, model.engine.model, asked.query, texts, asked.max_tokens_per_doc)
    found = await call.run(model, "rerank", len(texts), read)
    has_text = version == "1" if asked.return_documents is None else asked.return_documents
    return {
        "id": call.id,
        "model": model.name,
        "results": [
            {
                "index": each.number,
                # Late interaction can fall below 0, and Cohere's scores are from 0 to 1.
                "relevance_score": min(1.0, max(0.0, each.score)),
                **({"document": {"text": texts[each.number]}} if has_text else {}),
            }
            for each in found[: asked.top_n or None]
        ],
        "usage": {"prompt_tokens": call.took.tokens, "total_tokens": call.took.tokens},
        "meta": meta_of(version, search_units=1),
    }


def meta_of(version: str, **units: int) -> dict[str, Any]:
    """Return what Cohere's libraries read beside the answer."""
    return {"api_version": {"version": version}, "billed_units": units}


def _work(
    model: Pretrained, query: str, texts: list[str], most_tokens: int | None
) -> Work[list[Ranked]]:
    if most_tokens is not None:
        encoded = model.tokenizer.encode_with_offsets(texts)
        texts = [
            text if len(ids) <= most_tokens else text[: int(places[most_tokens - 1, 1])]
            for text, (ids, places) in zip(texts, encoded, strict=True)
        ]
    return reranking(model, query, texts)


ROUTES = (
    Route(
        path="/v1/rerank",
        says="Order documents by a query, as Cohere's first version and Jina do.",
        handler=rerank_v1,
        request=CohereRequest,
        reply=CohereReply,
        dialect="cohere",
    ),
    Route(
        path="/v2/rerank",
        says="Order documents by a query, as Cohere's second version does.",
        handler=rerank_v2,
        request=CohereRequest,
        reply=CohereReply,
        dialect="cohere",
    ),
    Route(
        path="/rerank",
        says="Order documents by a query, as TEI does where they are `texts`.",
        handler=rerank,
        request=TEIRequest | CohereRequest,
        reply=list[TEIRank] | CohereReply,
    ),
)
