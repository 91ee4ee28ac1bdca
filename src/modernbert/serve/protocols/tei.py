"""TEI's own routes: what its clients send, and what they read."""

import math
from functools import partial
from typing import Any

import numpy as np
from pydantic import BaseModel

from modernbert.base.records import one_of
from modernbert.infer.classify import classifying
from modernbert.infer.embedding import (
    Vectors,
    embedding,
    encoding,
    sparse_embedding,
    token_embedding,
)
from modernbert.infer.replies import Sparse
from modernbert.serve.call import Call, check_items
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import (
    Direction,
    InNumbers,
    Input,
    ModelName,
    Positive,
    PromptName,
    Truncate,
    cut_of,
    inputs_of,
    reading_of,
)


class EmbedRequest(BaseModel):
    """Texts, and what their vectors shall be."""

    model: ModelName = None
    truncate: Truncate = None
    truncation_direction: Direction = "right"
    prompt_name: PromptName = None
    inputs: Input | list[Input]
    normalize: bool = True
    dimensions: Positive | None = None
    numbers: InNumbers = "float32"


class EmbedAllRequest(BaseModel):
    """Texts whose tokens get vectors."""

    model: ModelName = None
    truncate: Truncate = None
    truncation_direction: Direction = "right"
    prompt_name: PromptName = None
    inputs: Input | list[Input]


class PredictRequest(BaseModel):
    """Texts that are to be labelled: two in a list are a pair, lists of them are several."""

    model: ModelName = None
    truncate: Truncate = None
    truncation_direction: Direction = "right"
    inputs: str | list[str] | list[list[str]]
    raw_scores: bool = False


class Prediction(BaseModel):
    """A label and how likely it is."""

    score: float
    label: str


class SimilarityInputs(BaseModel):
    """A text, and those that it is compared with."""

    source_sentence: str
    sentences: list[str]


class SimilarityParameters(BaseModel):
    """How they are read."""

    truncate: Truncate = None
    truncation_direction: Direction = "right"
    prompt_name: PromptName = None


class SimilarityRequest(BaseModel):
    """The same, with how they are read."""

    model: ModelName = None
    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None


class SparseValue(BaseModel):
    """A token of the vocabulary, and what a text gives for it."""

    index: int
    value: float


async def embed(call: Call, asked: EmbedRequest) -> Any:
    """Return a vector for each text."""
    texts = inputs_of(asked.inputs)
    model = call.house.shelf.find(asked.model, "embed")
    call.saw(texts)
    read = reading_of(asked, call.house.settings.auto_truncate)
    vectors = Vectors(normalize=asked.normalize, dimensions=asked.dimensions, numbers=asked.numbers)
    work = partial(embedding, model.engine.model, texts, read, vectors)
    found = await call.run(model, "embed", len(texts), work)
    return [np.ascontiguousarray(row) for row in found]


async def embed_all(call: Call, asked: EmbedAllRequest) -> Any:
    """Return a vector for each token: those that are compared of a late-interaction model."""
    texts = inputs_of(asked.inputs)
    model = call.house.shelf.find(asked.model, "token_vectors", "embed")
    is_late = "token_vectors" in model.engine.abilities
    call.saw(texts)
    read = reading_of(asked, call.house.settings.auto_truncate)
    if is_late:
        side = asked.prompt_name or "document"
        one_of("prompt_name", side, ("query", "document"))
        is_query = side == "query"
        work = partial(token_embedding, model.engine.model, texts, is_query=is_query, cut=read.cut)
    else:
        work = partial(encoding, model.engine.model, texts, read)
    return await call.run(model, "embed", len(texts), work)


async def embed_sparse(call: Call, asked: EmbedAllRequest) -> Any:
    """Return for each text the tokens that it calls for."""
    texts = inputs_of(asked.inputs)
    model = call.house.shelf.find(asked.model, "sparse")
    call.saw(texts)
    read = reading_of(asked, call.house.settings.auto_truncate)
    found = partial(sparse_embedding, model.engine.model, texts, read)
    return await call.run(model, "sparse", len(texts), lambda: found().then(_values))


def _values(found: list[Sparse]) -> list[list[dict[str, float]]]:
    return [
        [
            {"index": index, "value": value}
            for index, value in zip(each.ids.tolist(), each.weights.tolist(), strict=True)
        ]
        for each in found
    ]


async def predict(call: Call, asked: PredictRequest) -> Any:
    """Return the labels of each text, the likeliest first."""
    model = call.house.shelf.find(asked.model, "classify")
    given, is_batch = asked.inputs, False
    if isinstance(given, str):
        texts: list[tuple[str, ...]] = [(given,)]
    elif given and isinstance(given[0], list):
        texts, is_batch = [tuple(each) for each in given], True
    else:
        texts = [tuple(given)] if given else []  # type: ignore[arg-type]
    call.saw(part for text in texts for part in text)
    # As TEI does: several scores are shares of 1, and one alone goes through a sigmoid.
    head = model.engine.model.model.head_config
    is_alone = head is not None and head.num_scores == 1
    work = partial(
        classifying,
        model.engine.model,
        texts,
        cut_of(asked.truncate, asked.truncation_direction, call.house.settings.auto_truncate),
        is_raw=asked.raw_scores or is_alone,
    )
    found = await call.run(model, "classify", len(texts), work)
    turned = _sigmoid if is_alone and not asked.raw_scores else float
    rows = [
        [{"score": turned(each.score), "label": each.name} for each in labels] for labels in found
    ]
    return rows if is_batch else rows[0]


def _sigmoid(score: float) -> float:
    # In float64, by whose tangent nothing overflows.
    return 0.5 * (1 + math.tanh(score / 2))


async def similarity(call: Call, asked: SimilarityRequest) -> Any:
    """Return the cosine of a text with each of the others."""
    model = call.house.shelf.find(asked.model, "embed")
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    check_items(len(asked.inputs.sentences), call.house.settings.max_items)
    call.saw(texts)
    parameters = asked.parameters or SimilarityParameters()
    read = reading_of(parameters, call.house.settings.auto_truncate)
    work = partial(embedding, model.engine.model, texts, read, Vectors(normalize=True))
    found = await call.run(model, "embed", len(texts), work)
    # A cosine of vectors of float32 may be a rounding above 1.
    return (found[1:] @ found[0]).clip(-1, 1).tolist()


ROUTES = (
    Route(
        path="/embed",
        says="Embed texts.",
        handler=embed,
        request=EmbedRequest,
        reply=list[list[float]],
    ),
    Route(
        path="/embed_all",
        says="Embed each token of texts.",
        handler=embed_all,
        request=EmbedAllRequest,
        reply=list[list[list[float]]],
    ),
    Route(
        path="/embed_sparse",
        says="Embed texts as weights of the vocabulary's tokens.",
        handler=embed_sparse,
        request=EmbedAllRequest,
        reply=list[list[SparseValue]],
    ),
    Route(
        path="/predict",
        says="Label texts, or pairs of texts.",
        handler=predict,
        request=PredictRequest,
        reply=list[Prediction] | list[list[Prediction]],
    ),
    Route(
        path="/similarity",
        says="Compare a text with others, by cosine.",
        handler=similarity,
        request=SimilarityRequest,
        reply=list[float],
    ),
)
