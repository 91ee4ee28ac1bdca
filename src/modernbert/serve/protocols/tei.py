"""TEI's own routes: what its clients send, and what they read."""

import asyncio
from functools import partial
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from modernbert import __version__
from modernbert.base.errors import DataError
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.classify import classifying
from modernbert.infer.embedding import (
    Vectors,
    embedding,
    encoding,
    sparse_embedding,
    token_embedding,
)
from modernbert.infer.reading import prompt_named
from modernbert.infer.shared import NUM_READERS
from modernbert.serve.call import Call, check_items
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import (
    Cutting,
    Input,
    ModelName,
    Positive,
    Prompted,
    Token,
    inputs_of,
)


class EmbedRequest(Prompted):
    """Texts, and what their vectors shall be."""

    model: ModelName = None
    inputs: Input | list[Input]
    normalize: bool = True
    dimensions: Positive | None = None


class EmbedAllRequest(Prompted):
    """Texts whose tokens get vectors."""

    model: ModelName = None
    inputs: Input | list[Input]


class PredictRequest(Cutting):
    """Texts that are to be labelled: two in a list are a pair, lists of them are several."""

    model: ModelName = None
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


class SimilarityRequest(BaseModel):
    """The same, with how they are read."""

    model: ModelName = None
    inputs: SimilarityInputs
    parameters: Prompted = Field(default_factory=Prompted)


class SparseValue(BaseModel):
    """A token of the vocabulary, and what a text gives for it."""

    index: int
    value: float


class TokenizeRequest(BaseModel):
    """Texts that are to be cut into tokens."""

    model: ModelName = None
    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None


class SimpleToken(BaseModel):
    """A token, and where it stands in its text, in characters; special ones stand nowhere."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DecodeRequest(BaseModel):
    """Tokens that are to be text again."""

    model: ModelName = None
    ids: list[Token] | list[list[Token]]
    skip_special_tokens: bool = True


async def embed(call: Call, asked: EmbedRequest) -> Any:
    """Return a vector for each text."""
    texts = inputs_of(asked.inputs)
    model = call.house.shelf.find(asked.model, "embed")
    call.saw(texts)
    read = asked.reading(call.house.settings.auto_truncate)
    vectors = Vectors(normalize=asked.normalize, dimensions=asked.dimensions)
    work = partial(embedding, model.engine.model, texts, read, vectors)
    found = await call.run(model, "embed", len(texts), work)
    return [np.ascontiguousarray(row) for row in found]


async def embed_all(call: Call, asked: EmbedAllRequest) -> Any:
    """Return a vector for each token: those that are compared of a late-interaction model."""
    texts = inputs_of(asked.inputs)
    abilities = call.house.shelf.named(asked.model).engine.abilities
    is_late = "token_vectors" in abilities
    model = call.house.shelf.find(asked.model, "token_vectors" if is_late else "embed")
    call.saw(texts)
    read = asked.reading(call.house.settings.auto_truncate)
    if is_late:
        is_query = asked.prompt_name == "query"
        work = partial(token_embedding, model.engine.model, texts, is_query=is_query, cut=read.cut)
    else:
        work = partial(encoding, model.engine.model, texts, read)
    return await call.run(model, "embed", len(texts), work)


async def embed_sparse(call: Call, asked: EmbedAllRequest) -> Any:
    """Return for each text the tokens that it calls for."""
    texts = inputs_of(asked.inputs)
    model = call.house.shelf.find(asked.model, "sparse")
    call.saw(texts)
    read = asked.reading(call.house.settings.auto_truncate)
    work = partial(sparse_embedding, model.engine.model, texts, read)
    return [
        [
            {"index": index, "value": value}
            for index, value in zip(each.ids.tolist(), each.weights.tolist(), strict=True)
        ]
        for each in await call.run(model, "sparse", len(texts), work)
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
    work = partial(
        classifying,
        model.engine.model,
        texts,
        asked.cut(call.house.settings.auto_truncate),
        is_raw=asked.raw_scores,
    )
    found = await call.run(model, "classify", len(texts), work)
    rows = [[{"score": each.score, "label": each.name} for each in labels] for labels in found]
    return rows if is_batch else rows[0]


async def similarity(call: Call, asked: SimilarityRequest) -> Any:
    """Return the cosine of a text with each of the others."""
    model = call.house.shelf.find(asked.model, "embed")
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    check_items(len(asked.inputs.sentences), call.house.settings.max_items)
    call.saw(texts)
    read = asked.parameters.reading(call.house.settings.auto_truncate)
    work = partial(embedding, model.engine.model, texts, read, Vectors(normalize=True))
    found = await call.run(model, "embed", len(texts), work)
    return (found[1:] @ found[0]).tolist()


async def tokenize(call: Call, asked: TokenizeRequest) -> Any:
    """Return the tokens of each text."""
    model = call.house.shelf.named(asked.model).engine.model
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    check_items(len(texts), call.house.settings.max_items)
    before = prompt_named(model.sentence.config, asked.prompt_name) if asked.prompt_name else ""
    whole = [before + text for text in texts]
    return await asyncio.to_thread(_tokens, model.tokenizer, whole, asked.add_special_tokens)


def _tokens(tokenizer: Tokenizer, texts: list[str], has_ends: bool) -> list[list[dict[str, Any]]]:
    first, last = (
        [
            {
                "id": each,
                "text": tokenizer.token_of(each),
                "special": True,
                "start": None,
                "stop": None,
            }
        ]
        if has_ends
        else []
        for each in (tokenizer.cls_id, tokenizer.sep_id)
    )
    return [
        [
            *first,
            *(
                {"id": each, "text": text[a:b], "special": False, "start": a, "stop": b}
                for each, (a, b) in zip(ids.tolist(), places.tolist(), strict=True)
            ),
            *last,
        ]
        for text, (ids, places) in zip(texts, tokenizer.encode_with_offsets(texts), strict=True)
    ]


async def decode(call: Call, asked: DecodeRequest) -> Any:
    """Return the text of each list of tokens."""
    tokens = call.house.shelf.named(asked.model).engine.model.tokenizer
    lists: list[list[int]] = _lists(asked.ids)
    check_items(len(lists), call.house.settings.max_items)
    for ids in lists:
        if wrong := [each for each in ids if each >= tokens.vocab_size]:
            raise DataError(
                f"the id {wrong[0]} stands for no token: the vocabulary ends at "
                f"{tokens.vocab_size - 1}"
            )
    return [tokens.decode(ids, keep_special=not asked.skip_special_tokens) for ids in lists]


def _lists(ids: list[Token] | list[list[Token]]) -> list[list[int]]:
    """Return lists of ids, of which there may be one alone."""
    alone = [each for each in ids if isinstance(each, int)]
    return [alone] if alone else [each for each in ids if isinstance(each, list)]


async def info(call: Call, _: None) -> Any:
    """Say what is served, and what is let in."""
    house = call.house
    served, settings = house.shelf.models[0], house.settings
    model = served.engine.model
    return {
        "model_id": served.source,
        "model_sha": served.sha,
        "model_dtype": model.computes.partition(" on ")[0],
        "served_model_name": served.name,
        "model_type": _model_type(served.engine.abilities, model),
        "max_concurrent_requests": settings.max_waiting_items,
        "max_input_length": model.sentence.config.max_length,
        "max_batch_tokens": served.engine.tuning.batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": settings.max_items,
        "auto_truncate": settings.auto_truncate,
        "tokenization_workers": NUM_READERS,
        "version": __version__,
        "sha": None,
        "docker_label": None,
        "models": {each.name: list(each.engine.abilities) for each in house.shelf.models},
        "indexes": [each.name for each in house.shelf.indexes],
    }


def _model_type(abilities: tuple[str, ...], model: Any) -> dict[str, Any]:
    head = model.model.head_config
    if "rerank" in abilities or "classify" in abilities:
        labels = dict(enumerate(head.labels)) if head is not None else {}
        kind = "reranker" if "rerank" in abilities else "classifier"
        names = {str(number): name for number, name in labels.items()}
        return {kind: {"id2label": names, "label2id": {v: int(k) for k, v in names.items()}}}
    pool = model.sentence.config.pool
    if "sparse" in abilities:
        return {"embedding": {"pooling": "splade"}}
    return {"embedding": {"pooling": pool.modes[0] if pool is not None else "none"}}


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
    Route(
        path="/tokenize",
        says="Cut texts into tokens.",
        handler=tokenize,
        request=TokenizeRequest,
        reply=list[list[SimpleToken]],
    ),
    Route(
        path="/decode",
        says="Make texts of tokens.",
        handler=decode,
        request=DecodeRequest,
        reply=list[str],
    ),
    Route(
        method="GET",
        path="/info",
        says="Say what is served.",
        handler=info,
        reply=dict[str, Any],
        is_counted=False,
    ),
)
