"""Embeddings as Cohere has them: several kinds of numbers of one text at once."""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from modernbert.infer.embedding import Reading, Vectors, embedding, in_numbers
from modernbert.infer.replies import Array
from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.cohere import Meta, meta_of
from modernbert.serve.protocols.shapes import ModelName, Positive, cut_of
from modernbert.serve.served import Served

InputType = Literal["search_document", "search_query", "classification", "clustering"]
Kind = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]

_PROMPTS: Mapping[InputType, str] = {"search_document": "document", "search_query": "query"}


class EmbedRequest(BaseModel):
    """What is to be embedded."""

    model: ModelName = None
    texts: list[str]
    input_type: InputType | None = None
    """Names the prompt before each text: query, document, or one of its own name."""
    embedding_types: list[Kind] | None = None
    """float by default; binary and ubinary are signs, eight in a byte."""
    output_dimension: Positive | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    """What is cut of a text that is too long; NONE refuses it."""


class ByType(BaseModel):
    """A list for each kind of numbers, in the order of the texts."""

    of_float: list[list[float]] | None = Field(default=None, alias="float")
    int8: list[list[int]] | None = None
    uint8: list[list[int]] | None = None
    binary: list[list[int]] | None = None
    ubinary: list[list[int]] | None = None
    base64: list[str] | None = None


class EmbedReply(BaseModel):
    """All vectors, of length 1."""

    id: str
    response_type: Literal["embeddings_by_type", "embeddings_floats"]
    embeddings: ByType | list[list[float]]
    """A plain list in version 1, where no types are named."""
    texts: list[str]
    meta: Meta


async def embed_v1(call: Call, asked: EmbedRequest) -> Any:
    """Embed texts, as floats where no types are named."""
    return await _embed(call, asked, "1")


async def embed_v2(call: Call, asked: EmbedRequest) -> Any:
    """Embed texts."""
    return await _embed(call, asked, "2")


async def _embed(call: Call, asked: EmbedRequest, version: str) -> Any:
    model = call.house.shelf.find(asked.model, "embed", wrong=400)
    call.saw(asked.texts)
    truncate = None if asked.truncate is None else asked.truncate != "NONE"
    direction = "left" if asked.truncate == "START" else "right"
    cut = cut_of(truncate, direction, call.house.settings.auto_truncate)
    read = Reading(prompt=_prompt(model, asked.input_type), cut=cut)
    vectors = Vectors(normalize=True, dimensions=asked.output_dimension)
    work = partial(embedding, model.engine.model, asked.texts, read, vectors)
    found = await call.run(model, "embed", len(asked.texts), work)
    is_plain = version == "1" and not asked.embedding_types
    kinds: Sequence[Kind] = asked.embedding_types or ["float"]
    by_type = {kind: _NUMBERS[kind](found) for kind in kinds}
    return {
        "id": call.id,
        "response_type": "embeddings_floats" if is_plain else "embeddings_by_type",
        "embeddings": by_type["float"] if is_plain else by_type,
        "texts": asked.texts,
        "meta": meta_of(version, input_tokens=call.took.tokens),
    }


def _prompt(model: Served, input_type: InputType | None) -> str | None:
    """Return the name of the prompt; a model without one for this use reads the text alone."""
    if input_type is None:
        return None
    name = _PROMPTS.get(input_type, input_type)
    is_known = name in (*_PROMPTS.values(), *model.engine.model.sentence.config.prompts)
    return name if is_known else ""


def _signed(vectors: NDArray[np.float32]) -> Array:
    return (in_numbers(vectors, "binary").astype(np.int16) - 128).astype(np.int8)


def _unsigned(vectors: NDArray[np.float32]) -> Array:
    return (in_numbers(vectors, "int8").astype(np.int16) + 128).astype(np.uint8)


def _spelled(vectors: NDArray[np.float32]) -> list[str]:
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]


_NUMBERS: Mapping[Kind, Callable[[Array], Any]] = {
    "float": np.ascontiguousarray,
    "int8": partial(in_numbers, numbers="int8"),
    "uint8": _unsigned,
    "binary": _signed,
    "ubinary": partial(in_numbers, numbers="binary"),
    "base64": _spelled,
}

ROUTES = tuple(
    Route(
        path=path,
        says=says,
        handler=handler,
        request=EmbedRequest,
        reply=EmbedReply,
        dialect="cohere",
    )
    for path, handler, says in (
        ("/v1/embed", embed_v1, "Embed texts, as Cohere's first version does."),
        ("/v2/embed", embed_v2, "Embed texts, as Cohere's second version does."),
    )
)
