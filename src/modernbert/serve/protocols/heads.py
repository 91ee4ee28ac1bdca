"""Our own routes: what heads say of texts, and how tokens fit tokens."""

from functools import partial
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field

from modernbert.infer.answer import answering
from modernbert.infer.choose import choosing
from modernbert.infer.classify import classifying
from modernbert.infer.fill import filling
from modernbert.infer.reranking import matching
from modernbert.infer.tag import tagging
from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import ModelName


class Pair(BaseModel):
    """Two texts that are read together."""

    text: str
    text_pair: str


class ClassifyRequest(BaseModel):
    """Texts, or pairs of texts, that are to be labelled."""

    model: ModelName = None
    inputs: str | Pair | list[str | Pair]


class TagRequest(BaseModel):
    """Texts, or lists of their words, whose spans are to be found."""

    model: ModelName = None
    inputs: str | list[str | list[str]]


class Asked(BaseModel):
    """A question, and the text that answers it."""

    question: str
    context: str


class AnswerRequest(BaseModel):
    """Questions that are to be answered by a part of their texts."""

    model: ModelName = None
    inputs: Asked | list[Asked]
    top: Annotated[int, Field(ge=1, le=100)] = 1
    """Answers of each question."""
    can_be_none: bool = False
    """Let "" be an answer, of models that learned from questions without one."""


class FillRequest(BaseModel):
    """Texts with [MASK], whose hidden tokens are to be guessed."""

    model: ModelName = None
    inputs: str | list[str]
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    """Candidates for each [MASK]."""


class Question(BaseModel):
    """A question, and what can be chosen."""

    question: str
    options: list[str]


class ChooseRequest(BaseModel):
    """Questions whose options are to be ordered."""

    model: ModelName = None
    inputs: Question | list[Question]


class MaxSimRequest(BaseModel):
    """Queries and documents that are to be compared token by token."""

    model: ModelName = None
    queries: list[str]
    documents: list[str]


class Label(BaseModel):
    """A label and how likely it is."""

    label: str
    score: float


class Entity(BaseModel):
    """A span of a text, in characters."""

    label: str
    start: int
    end: int
    text: str
    score: float


class Answer(BaseModel):
    """A part of a text, in characters; "" is none."""

    text: str
    start: int
    end: int
    score: float


class Guess(BaseModel):
    """A candidate for a hidden token."""

    token: str
    probability: float
    id: int


class Option(BaseModel):
    """An option by its place in the request."""

    text: str
    number: int
    score: float


class MaxSimReply(BaseModel):
    """A row a query, a number a document."""

    scores: list[list[float]]


async def classify(call: Call, asked: ClassifyRequest) -> Any:
    """Return every label of each text, the likeliest first."""
    given = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    texts = [each if isinstance(each, str) else (each.text, each.text_pair) for each in given]
    model = call.house.shelf.find(asked.model, "classify")
    call.saw(part for text in texts for part in ([text] if isinstance(text, str) else text))
    work = partial(classifying, model.engine.model, texts)
    found = await call.run(model, "classify", len(texts), work)
    return [[{"label": each.name, "score": each.score} for each in labels] for labels in found]


async def tag(call: Call, asked: TagRequest) -> Any:
    """Return the spans of each text, in its order."""
    texts = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    model = call.house.shelf.find(asked.model, "tag")
    call.saw(texts)
    return await call.run(model, "tag", len(texts), partial(tagging, model.engine.model, texts))


async def answer(call: Call, asked: AnswerRequest) -> Any:
    """Return the likeliest answers of each question."""
    given = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    pairs = [(each.question, each.context) for each in given]
    model = call.house.shelf.find(asked.model, "answer")
    call.saw(text for pair in pairs for text in pair)
    work = partial(
        answering, model.engine.model, pairs, number=asked.top, can_be_none=asked.can_be_none
    )
    return await call.run(model, "answer", len(pairs), work)


async def fill(call: Call, asked: FillRequest) -> Any:
    """Return candidates for each [MASK] of each text."""
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    model = call.house.shelf.find(asked.model, "fill")
    call.saw(texts)
    work = partial(filling, model.engine.model, texts, asked.top)
    return await call.run(model, "fill", len(texts), work)


async def choose(call: Call, asked: ChooseRequest) -> Any:
    """Return the options of each question, the likeliest first."""
    given = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    model = call.house.shelf.find(asked.model, "choose")
    questions, options = [each.question for each in given], [each.options for each in given]
    call.saw([*questions, *options])
    work = partial(choosing, model.engine.model, questions, options)
    return await call.run(model, "choose", sum(map(len, options)), work)


async def maxsim(call: Call, asked: MaxSimRequest) -> Any:
    """Return how well each document fits each query."""
    model = call.house.shelf.find(asked.model, "token_vectors")
    call.saw([*asked.queries, *asked.documents])
    count = min(len(asked.queries), len(asked.documents)) and (
        len(asked.queries) + len(asked.documents)
    )
    work = partial(matching, model.engine.model, asked.queries, asked.documents)
    found: torch.Tensor = await call.run(model, "token_vectors", count, work)
    return {"scores": found.tolist()}


ROUTES = (
    Route(
        path="/classify",
        says="Label texts, or pairs of texts.",
        handler=classify,
        request=ClassifyRequest,
        reply=list[list[Label]],
    ),
    Route(
        path="/tag",
        says="Find spans in texts, such as names.",
        handler=tag,
        request=TagRequest,
        reply=list[list[Entity]],
    ),
    Route(
        path="/answer",
        says="Answer questions by parts of texts.",
        handler=answer,
        request=AnswerRequest,
        reply=list[list[Answer]],
    ),
    Route(
        path="/fill",
        says="Guess the tokens that [MASK] hides.",
        handler=fill,
        request=FillRequest,
        reply=list[list[list[Guess]]],
    ),
    Route(
        path="/choose",
        says="Choose among options.",
        handler=choose,
        request=ChooseRequest,
        reply=list[list[Option]],
    ),
    Route(
        path="/maxsim",
        says="Compare the tokens of queries and documents.",
        handler=maxsim,
        request=MaxSimRequest,
        reply=MaxSimReply,
    ),
)
