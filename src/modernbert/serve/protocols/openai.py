"""OpenAI's embeddings and models: what its libraries send, and what they read."""

import base64
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from modernbert.infer.embedding import Reading, Vectors, embedding
from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import (
    InNumbers,
    ModelName,
    Positive,
    PromptName,
    Token,
    cut_of,
    inputs_of,
)
from modernbert.serve.served import Served


class EmbeddingsRequest(BaseModel):
    """What is to be embedded."""

    input: str | list[str] | list[Token] | list[list[Token]]
    """Texts, or ids of the served model's tokenizer."""
    model: ModelName = None
    encoding_format: Literal["float", "base64"] | None = None
    """float by default; base64: the bytes of the numbers, little-endian, as the official library
    asks for."""
    dimensions: Positive | None = None
    user: str | None = None
    prompt_name: PromptName = None
    numbers: InNumbers = "float32"


class Embedding(BaseModel):
    """A vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    """All vectors, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class ModelCard(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    abilities: list[str]
    """Not OpenAI's: what it can do, its main use first."""


class ModelsReply(BaseModel):
    """All of them."""

    object: Literal["list"]
    data: list[ModelCard]


async def embeddings(call: Call, asked: EmbeddingsRequest) -> Any:
    """Return a vector of length 1 for each text."""
    texts = inputs_of(asked.input)
    model = call.house.shelf.find(asked.model, "embed", wrong=400)
    cut = cut_of(None, "right", call.house.settings.auto_truncate)
    read = Reading(prompt=asked.prompt_name, cut=cut)
    vectors = Vectors(normalize=True, dimensions=asked.dimensions, numbers=asked.numbers)
    call.saw(texts)
    work = partial(embedding, model.engine.model, texts, read, vectors)
    found = await call.run(model, "embed", len(texts), work)
    is_text = asked.encoding_format == "base64"
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": number,
                "embedding": base64.b64encode(
                    row.astype(row.dtype.newbyteorder("<")).tobytes()
                ).decode()
                if is_text
                else np.ascontiguousarray(row),
            }
            for number, row in enumerate(found)
        ],
        "model": model.name,
        "usage": {"prompt_tokens": call.took.tokens, "total_tokens": call.took.tokens},
    }


async def models(call: Call, _: None) -> Any:
    """Return what is served."""
    return {"object": "list", "data": [_card(each) for each in call.house.shelf.models]}


async def model(call: Call, _: None) -> Any:
    """Return one that is served."""
    return _card(call.house.shelf.named(call.path["name"]))


def _card(served: Served) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": "modernbert",
        "abilities": list(served.engine.abilities),
    }


ROUTES = (
    *(
        Route(
            path=path,
            says="Embed texts, as OpenAI does.",
            handler=embeddings,
            request=EmbeddingsRequest,
            reply=EmbeddingsReply,
            dialect="openai",
        )
        for path in ("/v1/embeddings", "/embeddings")
    ),
    Route(
        method="GET",
        path="/v1/models",
        says="List the models that are served.",
        handler=models,
        reply=ModelsReply,
        dialect="openai",
        is_counted=False,
    ),
    Route(
        method="GET",
        path="/v1/models/{name:path}",
        says="Describe a model that is served.",
        handler=model,
        reply=ModelCard,
        dialect="openai",
        is_counted=False,
        more={404: "There is no model of this name."},
    ),
)
