"""Settings and models in, an application out: the table of routes, and what answers each."""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address
from starlette.types import Receive, Scope, Send

from modernbert.serve.call import Call, House
from modernbert.serve.endpoint import Endpoint, Route, id_of
from modernbert.serve.logs import log
from modernbert.serve.metrics import Metrics
from modernbert.serve.openapi import document
from modernbert.serve.protocols import (
    cohere,
    cohere_embed,
    heads,
    huggingface,
    openai,
    playground,
    search,
    status,
    tei,
    vocabulary,
)
from modernbert.serve.refusals import Dialect, Fault, RefusedError, body_of
from modernbert.serve.served import Shelf
from modernbert.serve.settings import Settings

ROUTES: tuple[Route, ...] = (
    *openai.ROUTES,
    *tei.ROUTES,
    *vocabulary.ROUTES,
    *cohere.ROUTES,
    *cohere_embed.ROUTES,
    *heads.ROUTES,
    *search.ROUTES,
    *huggingface.ROUTES,
    *playground.ROUTES,
    *status.ROUTES,
)


def application(
    settings: Settings,
    shelf: Shelf,
    metrics: Metrics,
    digests: Sequence[bytes] = (),
    is_draining: Callable[[], bool] = lambda: False,
) -> Starlette:
    """Return what an HTTP server calls; where there are digests of keys, it asks for one."""
    house = House(settings, shelf, metrics, is_draining)
    described = _described(has_keys=bool(digests))
    endpoints: dict[str, dict[str, Endpoint]] = {}
    for route in (*ROUTES, *described):
        endpoints.setdefault(route.path, {})[route.method] = Endpoint(route, house, digests)
    addresses = [
        Address(path, _Methods(by_method), methods=[*by_method])
        for path, by_method in endpoints.items()
    ]
    middleware = [
        Middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
        )
    ]
    return Starlette(
        routes=addresses,
        middleware=middleware if settings.cors_origins else [],
        exception_handlers={HTTPException: _nowhere},
    )


@final
class _Methods:
    """The endpoints of one address."""

    def __init__(self, by_method: Mapping[str, Endpoint]) -> None:
        self._by_method = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # HEAD is GET whose body the HTTP server leaves out.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._by_method[method](scope, receive, send)


def _described(*, has_keys: bool) -> tuple[Route, ...]:
    content = orjson.dumps(document(ROUTES, has_keys=has_keys))

    async def described(_: Call, __: None) -> Response:
        return Response(content, media_type="application/json")

    return tuple(
        Route(
            method="GET",
            path=path,
            says="Describe all of it.",
            handler=described,
            reply=dict,
            is_counted=False,
        )
        for path in ("/openapi.json", "/api-doc/openapi.json")
    )


async def _nowhere(request: Request, error: Exception) -> Response:
    """Say that there is no such address, or that it takes another method."""
    assert isinstance(error, HTTPException)
    is_there = error.status_code != HTTPStatus.NOT_FOUND
    says = "this address takes another method" if is_there else "no such address"
    fault: Fault = "Validation" if is_there else "NoAddress"
    refusal = RefusedError(error.status_code, fault, f"{says}: GET /openapi.json lists them")
    path, number = request.url.path, id_of(request)
    log(
        logging.INFO,
        "request",
        request_id=number,
        method=request.method,
        path=path,
        status=error.status_code,
    )
    dialect: Dialect = "tei"
    if path.startswith("/v2/") or path in ("/v1/rerank", "/v1/embed"):
        dialect = "cohere"
    elif path.startswith("/v1/"):
        dialect = "openai"
    body = orjson.dumps(body_of(refusal, dialect))
    headers = {**(error.headers or {}), "x-request-id": number}
    return Response(body, error.status_code, headers, media_type="application/json")
