"""Parts that several dialects' requests have."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StrictInt

from modernbert.data.examples import Cut
from modernbert.infer.embedding import Reading

Token = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Input = str | list[Token]
"""A text, or the ids of its tokens in the served model's vocabulary."""
Positive = Annotated[StrictInt, Field(ge=1, le=2**31)]
ModelName = Annotated[
    str | None, Field(default=None, description="Name of a served model; by default the first.")
]
Side = Literal["left", "right", "Left", "Right"]


class Cutting(BaseModel):
    """What happens to a text that is too long."""

    truncate: bool | None = Field(
        default=None, description="Cut texts that are too long; by default as the server was told."
    )
    truncation_direction: Side = Field(default="right", description="The end that is cut.")

    def cut(self, by_default: bool) -> Cut:
        """Return where texts are cut."""
        is_cut = by_default if self.truncate is None else self.truncate
        if not is_cut:
            return "never"
        return "left" if self.truncation_direction.lower() == "left" else "right"


class Prompted(Cutting):
    """The same, with what is put before texts."""

    prompt_name: str | None = Field(
        default=None, description="Name of the prompt, in the model's folder, before each text."
    )

    def reading(self, by_default: bool) -> Reading:
        """Return how texts are read."""
        return Reading(prompt=self.prompt_name, cut=self.cut(by_default))


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
