"""What the page at / asks for that no client does: attention, and the page itself."""

from functools import partial
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from modernbert.infer.attending import attending
from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import ModelName

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page asks this server and nobody else."""


class AttentionRequest(BaseModel):
    """Whose attention is to be shown."""

    model: ModelName = None
    inputs: str
    layer: Annotated[int, Field(ge=0, le=10_000)] = 0
    head: Annotated[int, Field(ge=0, le=10_000)] = 0
    max_length: Annotated[int, Field(ge=3, le=512)] = 256
    """Tokens that are read."""


class AttentionReply(BaseModel):
    """How each token divides its attention: a row sums to 1."""

    tokens: list[str]
    weights: list[list[float]]
    layer: int
    head: int
    is_global: bool
    window: int | None
    """Tokens around each that a local layer sees; none is all."""
    global_layers: list[int]
    num_layers: int
    num_heads: int


async def attention(call: Call, asked: AttentionRequest) -> Any:
    """Return how one head of a layer divides its attention."""
    served = call.house.shelf.named(asked.model)
    model, config = served.engine.model, served.engine.model.config
    call.saw([asked.inputs])
    read = partial(attending, model, asked.inputs, asked.layer, asked.head, asked.max_length)
    ids: list[int] = []

    def noted() -> Any:
        work = read()
        ids.extend(work.documents[0].ids.tolist())
        return work

    weights = await call.run(served, served.engine.main_ability, 1, noted)
    return {
        "tokens": [
            model.tokenizer.token_of(each)
            if each in model.tokenizer.special_ids
            else model.tokenizer.decode([each])
            for each in ids
        ],
        "weights": weights.tolist(),
        "layer": asked.layer,
        "head": asked.head,
        "is_global": config.is_global(asked.layer),
        "window": config.window_at(asked.layer),
        "global_layers": [each for each in range(config.num_layers) if config.is_global(each)],
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
    }


async def page(_: Call, __: None) -> Any:
    """Return the page."""
    found = files("modernbert.serve") / "page" / "index.html"
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return Response(found.read_bytes(), media_type="text/html", headers=headers)


ROUTES = (
    Route(
        path="/attention",
        says="Show how one head of a layer divides its attention.",
        handler=attention,
        request=AttentionRequest,
        reply=AttentionReply,
    ),
    Route(
        method="GET",
        path="/",
        says="Return a page to try all of it.",
        handler=page,
        reply=bytes,
        is_open=True,
        is_counted=False,
    ),
)
