"""TEI's routes around models: their tokens, and what is served."""

import asyncio
from functools import partial
from typing import Any

from pydantic import BaseModel

from modernbert import __version__
from modernbert.base.errors import DataError
from modernbert.data.pieces import Offsets
from modernbert.data.tokenizer import Ids, Tokenizer
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import prompt_named
from modernbert.infer.shared import NUM_READERS
from modernbert.serve.call import Call, check_items, check_tokens
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import ModelName, Token


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


async def tokenize(call: Call, asked: TokenizeRequest) -> Any:
    """Return the tokens of each text."""
    model = call.house.shelf.named(asked.model).engine.model
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    check_items(len(texts), call.house.settings.max_items)
    before = prompt_named(model.sentence.config, asked.prompt_name) if asked.prompt_name else ""
    whole = [before + text for text in texts]
    call.saw(whole)
    encoded = await asyncio.to_thread(model.tokenizer.encode_with_offsets, whole)
    most = call.house.settings.max_request_tokens
    check_tokens(sum(len(ids) for ids, _ in encoded), most)
    found = zip(whole, encoded, strict=True)
    return await asyncio.to_thread(_tokens, model.tokenizer, [*found], asked.add_special_tokens)


def _tokens(
    tokenizer: Tokenizer, texts: list[tuple[str, tuple[Ids, Offsets]]], has_ends: bool
) -> list[list[dict[str, Any]]]:
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
        for text, (ids, places) in texts
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
    check_tokens(sum(map(len, lists)), call.house.settings.max_request_tokens)
    call.saw(lists)
    decoded = partial(tokens.decode, keep_special=not asked.skip_special_tokens)
    return await asyncio.to_thread(lambda: [*map(decoded, lists)])


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
        "indexes": [{"name": each.name, "model": each.model.name} for each in house.shelf.indexes],
    }


def _model_type(abilities: tuple[str, ...], model: Pretrained) -> dict[str, Any]:
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
