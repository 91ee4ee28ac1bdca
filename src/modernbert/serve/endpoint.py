"""A route of the table in, what answers it out: checks, a handler, a reply, a line in the log."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, final

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modernbert.serve.call import Call, House
from modernbert.serve.complaints import spelled
from modernbert.serve.keys import is_let_in
from modernbert.serve.logs import log
from modernbert.serve.refusals import Dialect, RefusedError, body_of, refusal_of

_ID = re.compile(r"[\w.:-]{1,128}")
_PROCESS, _REQUESTS = uuid.uuid4().hex[:16], count()
"""What makes an id of a request that has none: unlike any other, and cheap."""
_LARGE = 20_000
"""Tokens or characters of a request whose reply is spelled out in another thread."""
_LEFT = 499
"""Status, for the log alone, of a request whose client has gone; nginx writes it so."""

Handler = Callable[[Call, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An address, what may be sent there, and who answers."""

    method: str = "POST"
    path: str
    says: str
    """One sentence."""
    handler: Handler
    """Returns what is sent as JSON, or a `Response`."""
    request: Any = None
    """Type of the body: a model, or several of which one fits."""
    reply: Any
    """Type of the reply, for the description; bytes where it is no JSON."""
    dialect: Dialect = "tei"
    is_open: bool = False
    """Whether it is answered without a key."""
    is_counted: bool = True
    """Whether it is a request for a model."""
    more: Mapping[int, str] = field(default_factory=dict)
    """Other statuses that it may have, and what they mean."""


@final
class Endpoint:
    """What answers one route."""

    def __init__(self, route: Route, house: House, digests: Sequence[bytes]) -> None:
        """Let in whoever has one of these keys; everybody where there is none."""
        self._route, self._house, self._digests = route, house, digests
        self._reads = None if route.request is None else TypeAdapter(route.request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        call = Call(self._house, id_of(request), request.path_params)
        start = time.perf_counter()
        try:
            response = await self._answered(request, call)
        except _GoneError:
            self._house.metrics.failures.labels("dropped").inc()
            self._log(request, call, _LEFT, start)
            return
        seconds = time.perf_counter() - start
        response.headers["x-request-id"] = call.id
        if self._route.is_counted:
            response.headers.update(_timings(call, seconds))
            self._count(call, response.status_code, seconds)
        self._log(request, call, response.status_code, start)
        with suppress(OSError):  # the client has gone
            await response(scope, receive, send)

    async def _answered(self, request: Request, call: Call) -> Response:
        """Return the reply, or what is said in its place."""
        settings = self._house.settings
        try:
            self._check_key(request)
            body = await self._body(request)
            async with asyncio.timeout(settings.timeout_s):
                found = await _while_there(request, self._route.handler(call, body))
        except _GoneError:
            raise
        except asyncio.CancelledError:
            # The server ends, and the time that it had for what was asked for is over.
            refusal = RefusedError(
                503,
                "Overloaded",
                "the server ends: ask again, or another one",
                "dropped",
                {"Retry-After": "1"},
            )
            return self._refused(refusal)
        except TimeoutError:
            refusal = RefusedError(
                503,
                "Overloaded",
                f"the answer was not there after {settings.timeout_s:g} s: send less at a time, or "
                "ask again later",
                "overloaded",
            )
            return self._refused(refusal)
        except Exception as error:  # whatever it is, the client is told in its dialect
            refusal = refusal_of(error)
            if refusal.status >= 500 and not isinstance(error, RefusedError):
                logging.getLogger("modernbert.serve").error(
                    "request %s failed", call.id, exc_info=error
                )
            return self._refused(refusal)
        if isinstance(found, Response):
            return found
        # Much takes long to be spelled out, and others ask meanwhile.
        is_large = max(call.took.tokens, call.took.characters) > _LARGE
        return await asyncio.to_thread(_json, found) if is_large else _json(found)

    def _refused(self, refusal: RefusedError) -> Response:
        if self._route.is_counted:
            self._house.metrics.failures.labels(refusal.count_as).inc()
        response = _json(body_of(refusal, self._route.dialect), refusal.status)
        response.headers.update(refusal.headers)
        if refusal.status in (408, 413):
            # What else the client sends of it is not read.
            response.headers["connection"] = "close"
        return response

    def _check_key(self, request: Request) -> None:
        if self._route.is_open or not self._digests:
            return
        if not is_let_in(request.headers.get("authorization", ""), self._digests):
            raise RefusedError(
                401,
                "Unauthorized",
                "a key is missing or wrong: send the header Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def _body(self, request: Request) -> Any:
        """Read what was sent, within bounds of size and time, and check it."""
        if self._reads is None:
            return None
        content = await _read(
            request, self._house.settings.max_body_bytes, self._house.settings.body_timeout_s
        )
        try:
            plain = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise RefusedError(400, "Validation", f"the body is no JSON: {error}") from error
        try:
            # What is described as a number is no text that looks like one.
            return self._reads.validate_python(plain, strict=True)
        except ValidationError as error:
            raise RefusedError(422, "Validation", spelled(error, plain)) from error

    def _count(self, call: Call, status: int, seconds: float) -> None:
        metrics = self._house.metrics
        method = "batch" if call.took.items > 1 else "single"
        metrics.requests.labels(method).inc()
        if status < 400:
            metrics.successes.labels(method).inc()
            for kind in ("request", *([call.kind] if call.kind else [])):
                metrics.seconds[kind][""].observe(seconds)
            metrics.lengths.observe(call.took.tokens)

    def _log(self, request: Request, call: Call, status: int, start: float) -> None:
        if not self._route.is_counted:
            level = logging.DEBUG
        else:
            level = logging.WARNING if status >= 500 else logging.INFO
        log(
            level,
            "request",
            request_id=call.id,
            method=request.method,
            path=request.url.path,
            status=status,
            ms=round(1000 * (time.perf_counter() - start), 2),
            model=call.model,
            items=call.took.items,
            tokens=call.took.tokens,
        )


class _GoneError(Exception):
    """The client has gone."""


async def _while_there(request: Request, handler: Awaitable[Any]) -> Any:
    """Wait for an answer, and give it up when the client goes."""
    answer = asyncio.ensure_future(handler)
    gone = asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise _GoneError
    finally:
        for each in (answer, gone):
            each.cancel()


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request, most: int, timeout_s: float) -> bytes:
    """Read a body within bounds of size and time."""
    told = request.headers.get("content-length", "")
    try:
        async with asyncio.timeout(timeout_s):
            return await _bounded(request, most, int(told) if told.isdecimal() else 0)
    except TimeoutError as error:
        raise RefusedError(
            408, "Validation", f"the body was not there after {timeout_s:g} s: send it faster"
        ) from error
    except ClientDisconnect as error:
        raise _GoneError from error


async def _bounded(request: Request, most: int, told: int) -> bytes:
    parts: list[bytes] = []
    size = told
    if told <= most:
        size = 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > most:
                break
    if size > most:
        raise RefusedError(
            413, "Validation", f"the body has more than {most:,} bytes: send less at a time"
        )
    return b"".join(parts)


def _json(content: Any, status: int = 200) -> Response:
    if isinstance(content, BaseModel):
        content = content.model_dump(exclude_none=True)
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


def id_of(request: Request) -> str:
    """Return what a request is called: as its client does, or by a number of its own."""
    told = request.headers.get("x-request-id", "")
    return told if _ID.fullmatch(told) else f"{_PROCESS}-{next(_REQUESTS):x}"


def _timings(call: Call, seconds: float) -> dict[str, str]:
    """Return TEI's headers, in milliseconds."""
    took = call.took
    whole = str(round(1000 * seconds))
    return {
        "x-compute-type": "cpu" if call.house.shelf.is_on_cpu else "gpu",
        "x-compute-time": whole,
        "x-compute-characters": str(took.characters),
        "x-compute-tokens": str(took.tokens),
        "x-total-time": whole,
        "x-tokenization-time": str(round(1000 * took.tokenization_s)),
        "x-queue-time": str(round(1000 * took.queue_s)),
        "x-inference-time": str(round(1000 * took.inference_s)),
    }
