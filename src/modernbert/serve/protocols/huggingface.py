"""What `huggingface_hub.InferenceClient` sends to an address, and what it reads of each task."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from modernbert.infer.answer import answering
from modernbert.infer.classify import classifying
from modernbert.infer.fill import filling
from modernbert.infer.tag import tagging
from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols import tei
from modernbert.serve.protocols.heads import Asked
from modernbert.serve.protocols.shapes import Direction, PromptName, Truncate
from modernbert.serve.protocols.tei import SimilarityInputs
from modernbert.serve.served import Served


class Parameters(BaseModel):
    """How a task is done; those that nobody knows are left alone."""

    model_config = ConfigDict(extra="ignore")

    top_k: int | None = Field(default=None, ge=1, le=1000)
    candidate_labels: None = Field(default=None, description="Not done here.")
    targets: None = Field(default=None, description="Not done here.")
    function_to_apply: None = Field(default=None, description="Not done here.")


class TaskRequest(BaseModel):
    """Texts for whatever the model does; a question; or a text and others like it."""

    inputs: str | list[str] | Asked | SimilarityInputs
    truncate: Truncate = None
    truncation_direction: Direction = "right"
    prompt_name: PromptName = None
    parameters: Parameters | None = None
    normalize: bool = True
    dimensions: int | None = Field(default=None, ge=1, le=2**31)


async def first(call: Call, asked: TaskRequest) -> Any:
    """Do what the first model was made for, or what the shape of the request asks for."""
    return await _do(call, asked, None)


async def named(call: Call, asked: TaskRequest) -> Any:
    """Do what a model was made for."""
    return await _do(call, asked, call.path["name"])


async def _do(call: Call, asked: TaskRequest, name: str | None) -> Any:
    shelf = call.house.shelf
    if isinstance(asked.inputs, SimilarityInputs):
        parameters = tei.SimilarityParameters(
            truncate=asked.truncate,
            truncation_direction=asked.truncation_direction,
            prompt_name=asked.prompt_name,
        )
        request = tei.SimilarityRequest(model=name, inputs=asked.inputs, parameters=parameters)
        return await tei.similarity(call, request)
    if isinstance(asked.inputs, Asked):
        return await _answer(call, asked, shelf.find(name, "answer"))
    model = shelf.named(name)
    abilities = model.engine.abilities
    if "fill" in abilities and _has_mask(asked, model):
        return await _fill(call, asked, model)
    does = next((_TASKS[each] for each in abilities if each in _TASKS), _embed)
    return await does(call, asked, model)


def _has_mask(asked: TaskRequest, model: Served) -> bool:
    """Return whether a text has a gap, so that an encoder that can do both is to fill it."""
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    mask = model.engine.model.tokenizer.mask_token
    return isinstance(texts, list) and any(mask in text for text in texts)


async def _embed(call: Call, asked: TaskRequest, model: Served) -> Any:
    fields = {**asked.model_dump(exclude={"parameters"}), "model": model.name}
    return await tei.embed(call, tei.EmbedRequest(**fields))


async def _embed_tokens(call: Call, asked: TaskRequest, model: Served) -> Any:
    fields = {**asked.model_dump(exclude={"parameters"}), "model": model.name}
    return await tei.embed_all(call, tei.EmbedAllRequest(**fields))


async def _embed_sparse(call: Call, asked: TaskRequest, model: Served) -> Any:
    fields = {**asked.model_dump(exclude={"parameters"}), "model": model.name}
    return await tei.embed_sparse(call, tei.EmbedAllRequest(**fields))


async def _classify(call: Call, asked: TaskRequest, model: Served) -> Any:
    texts = _texts(call, asked)
    work = partial(classifying, model.engine.model, texts)
    found = await call.run(model, "classify", len(texts), work)
    return [
        [{"label": each.name, "score": each.score} for each in labels[: _top(asked)]]
        for labels in found
    ]


async def _tag(call: Call, asked: TaskRequest, model: Served) -> Any:
    texts = _texts(call, asked)
    found = await call.run(model, "tag", len(texts), partial(tagging, model.engine.model, texts))
    rows = [
        [
            {
                "entity_group": each.label,
                "score": each.score,
                "word": each.text,
                "start": each.start,
                "end": each.end,
            }
            for each in spans
        ]
        for spans in found
    ]
    return rows[0] if isinstance(asked.inputs, str) else rows


async def _fill(call: Call, asked: TaskRequest, model: Served) -> Any:
    texts = _texts(call, asked)
    top, tokenizer = _top(asked) or 5, model.engine.model.tokenizer
    found = await call.run(
        model, "fill", len(texts), partial(filling, model.engine.model, texts, top)
    )
    rows = [
        [
            [
                {
                    "score": each.probability,
                    "token": each.id,
                    "token_str": each.token,
                    "sequence": _filled(text, tokenizer.mask_token, place, each.token),
                }
                for each in guesses
            ]
            for place, guesses in enumerate(masks)
        ]
        for text, masks in zip(texts, found, strict=True)
    ]
    # One [MASK] has a plain list, as in transformers' pipeline.
    plain = [masks[0] if len(masks) == 1 else masks for masks in rows]
    return plain[0] if isinstance(asked.inputs, str) else plain


def _filled(text: str, mask: str, place: int, token: str) -> str:
    """Put a token where the mask of this number is; the blank it may begin with is there once."""
    parts = text.split(mask)
    before, after = mask.join(parts[: place + 1]), mask.join(parts[place + 1 :])
    return (
        before + (token.removeprefix(" ") if not before or before[-1].isspace() else token) + after
    )


async def _answer(call: Call, asked: TaskRequest, model: Served) -> Any:
    assert isinstance(asked.inputs, Asked)
    pair, top = (asked.inputs.question, asked.inputs.context), _top(asked) or 1
    work = partial(answering, model.engine.model, [pair], number=top)
    (found,) = await call.run(model, "answer", 1, work)
    rows = [
        {"answer": each.text, "score": each.score, "start": each.start, "end": each.end}
        for each in found
    ]
    return rows[0] if top == 1 else rows


def _top(asked: TaskRequest) -> int | None:
    return asked.parameters.top_k if asked.parameters else None


def _texts(call: Call, asked: TaskRequest) -> list[str]:
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    assert isinstance(texts, list)
    call.saw(texts)
    return texts


_TASKS: dict[str, Callable[[Call, TaskRequest, Served], Awaitable[Any]]] = {
    "embed": _embed,
    "token_vectors": _embed_tokens,
    "sparse": _embed_sparse,
    "classify": _classify,
    "tag": _tag,
    "fill": _fill,
}

ROUTES = (
    Route(
        path="/",
        says="Do what the first model was made for, as InferenceClient asks.",
        handler=first,
        request=TaskRequest,
        reply=Any,
    ),
    Route(
        path="/models/{name:path}",
        says="Do what a model was made for, as InferenceClient asks.",
        handler=named,
        request=TaskRequest,
        reply=Any,
    ),
)
