"""The table of routes in, its OpenAPI document out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from modernbert import __version__
from modernbert.serve.endpoint import Route
from modernbert.serve.protocols.shapes import CohereFault, Fault, OpenAIFault
from modernbert.serve.refusals import Dialect

_FAULTS: Mapping[Dialect, Any] = {"tei": Fault, "openai": OpenAIFault, "cohere": CohereFault}
_REF = "#/components/schemas/{model}"
_ALWAYS = {400: "The body is no JSON, or holds no text.", 500: "The server failed."}
_OF_MODELS = {
    404: "There is no model or index of this name.",
    408: "The body came too slowly.",
    413: "The body, its texts or their tokens are more than is let in.",
    422: "A field is wrong, or a text too long.",
    424: "The model is not of the kind that is needed.",
    429: "Too much is on its way: ask again after Retry-After seconds.",
    503: "The server ends, or the answer took too long.",
}
_KEY = {401: "A key is missing or wrong."}


def document(routes: Sequence[Route], *, has_keys: bool) -> dict[str, Any]:
    """Return the document, in version 3.1 of OpenAPI."""
    schemas, definitions = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r"{(\w+):path}", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas, has_keys)
    components: dict[str, Any] = {"schemas": definitions}
    if has_keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "modernbert",
            "version": __version__,
            "description": "One server for every encoder task.",
        },
        "paths": paths,
        "components": components,
    }


_Schemas = Mapping[tuple[Any, JsonSchemaMode], dict[str, Any]]


def _schemas(routes: Sequence[Route]) -> tuple[_Schemas, dict[str, Any]]:
    """Return the schema of each type, by its place in the table, and what they refer to."""
    wanted: dict[tuple[str, JsonSchemaMode], Any] = {}
    for route in routes:
        if route.request is not None:
            wanted[str(route.request), "validation"] = route.request
        if route.reply not in (None, bytes):
            wanted[str(route.reply), "serialization"] = route.reply
    for fault in _FAULTS.values():
        wanted[str(fault), "serialization"] = fault
    found, rest = TypeAdapter.json_schemas(
        [(name, mode, TypeAdapter(kind)) for (name, mode), kind in wanted.items()],
        ref_template=_REF,
    )
    return found, rest.get("$defs", {})


def _operation(route: Route, schemas: _Schemas, has_keys: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.says,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "responses": _responses(route, schemas, has_keys),
    }
    if names := re.findall(r"{(\w+)", route.path):
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if route.request is not None:
        content = {"schema": schemas[str(route.request), "validation"]}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    if has_keys and not route.is_open:
        found["security"] = [{"key": []}]
    return found


def _responses(route: Route, schemas: _Schemas, has_keys: bool) -> dict[str, Any]:
    fault = schemas[str(_FAULTS[route.dialect]), "serialization"]
    told = {
        **(_ALWAYS if route.request is not None else {}),
        **(_OF_MODELS if route.is_counted else {}),
        **(_KEY if has_keys and not route.is_open else {}),
        **route.more,
    }
    responses: dict[str, Any] = {"200": {"description": "The answer.", **_content(route, schemas)}}
    for status, says in sorted(told.items()):
        body = {} if route.reply is None else {"application/json": {"schema": fault}}
        responses[str(status)] = {"description": says, **({"content": body} if body else {})}
    return responses


def _content(route: Route, schemas: _Schemas) -> dict[str, Any]:
    if route.reply is None:
        return {}
    if route.reply is bytes:
        kind = "text/html" if route.path == "/" else "text/plain"
        return {"content": {kind: {"schema": {"type": "string"}}}}
    return {"content": {"application/json": {"schema": schemas[str(route.reply), "serialization"]}}}
