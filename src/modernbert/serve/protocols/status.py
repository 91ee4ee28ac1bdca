"""Whether a server is there, what it counts, and what can be asked of it."""

from typing import Any

from starlette.responses import Response

from modernbert.serve.call import Call
from modernbert.serve.endpoint import Route
from modernbert.serve.metrics import CONTENT_TYPE


async def health(_: Call, __: None) -> Any:
    """Say that the server is there: an empty body, as TEI does."""
    return Response()


async def ready(call: Call, _: None) -> Any:
    """Say whether requests are taken: not any more once the server is told to end."""
    return Response(status_code=503 if call.house.is_draining() else 200)


async def metrics(call: Call, _: None) -> Any:
    """Return what was counted, in Prometheus' format."""
    house = call.house
    house.metrics.queue.set(sum(each.engine.waiting[0] for each in house.shelf.models))
    return Response(house.metrics.page(), headers={"content-type": CONTENT_TYPE})


ROUTES = (
    *(
        Route(
            method="GET",
            path=path,
            says="Say that the server is there.",
            handler=health,
            reply=None,
            is_open=True,
            is_counted=False,
        )
        for path in ("/health", "/ping")
    ),
    Route(
        method="GET",
        path="/ready",
        says="Say whether requests are taken.",
        handler=ready,
        reply=None,
        is_open=True,
        is_counted=False,
        more={503: "The server ends: ask another one."},
    ),
    Route(
        method="GET",
        path="/metrics",
        says="Return what was counted, for Prometheus.",
        handler=metrics,
        reply=bytes,
        is_open=True,
        is_counted=False,
    ),
)
