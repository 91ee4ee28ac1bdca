"""Parts that several dialects' requests have."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, Field, StrictInt

from modernbert.data.examples import Cut
from modernbert.infer.embedding import Reading
from modernbert.infer.replies import Numbers

Token = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Input = str | list[Token]
"""A text, or the ids of its tokens in the served model's vocabulary."""
Positive = Annotated[StrictInt, Field(ge=1, le=2**31)]
ModelName = Annotated[
    str | None, Field(default=None, description="Name of a served model; by default the first.")
]
Truncate = Annotated[
    bool | None,
    Field(description="Cut texts that are too long; by default as the server was told."),
]
Direction = Annotated[
    Literal["left", "right", "Left", "Right"], Field(description="The end that is cut.")
]
PromptName = Annotated[
    str | None, Field(description="Name of the prompt, in the model's folder, before each text.")
]

InNumbers = Annotated[
    Numbers,
    Field(
        description="Not of the dialect: int8, whole numbers by a scale of each vector's own, for "
        "cosines; binary, the signs of eight numbers in each."
    ),
]


def cut_of(truncate: bool | None, direction: str, by_default: bool) -> Cut:
    """Return where texts that are too long are cut."""
    is_cut = by_default if truncate is None else truncate
    if not is_cut:
        return "never"
    return "left" if direction.lower() == "left" else "right"


class AsksForReading(Protocol):
    """A request that says how its texts are read."""

    truncate: bool | None
    truncation_direction: Literal["left", "right", "Left", "Right"]
    prompt_name: str | None


def reading_of(asked: AsksForReading, by_default: bool) -> Reading:
    """Return how the texts of a request are read."""
    cut = cut_of(asked.truncate, asked.truncation_direction, by_default)
    return Reading(prompt=asked.prompt_name, cut=cut)


class Fault(BaseModel):
    """What TEI, and this server's own routes, say of a request that is refused."""

    error: str
    error_type: str


class OpenAIFaultBody(BaseModel):
    """What OpenAI's library reads of it."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIFault(BaseModel):
    """The same, where it looks for it."""

    error: OpenAIFaultBody


class CohereFault(BaseModel):
    """What Cohere's library reads of it."""

    message: str


def inputs_of(given: str | list[Token] | Sequence[Input]) -> list[Input]:
    """Return the texts of a request that may hold one alone; a list of ids is one text."""
    if isinstance(given, str):
        return [given]
    ids = [each for each in given if isinstance(each, int)]
    return [ids] if ids else [each for each in given if not isinstance(each, int)]
