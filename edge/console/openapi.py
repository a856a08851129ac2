"""The OpenAPI description, made of the very tables the routes are made of. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from edge import __version__
from edge.console.access.entry import LogIn
from edge.console.access.sessions import COOKIE
from edge.console.calls import PREFIX, Call, Nothing

_PARAMETER = re.compile(r"{(\w+)}")
_PATHS = {
    "capture": {"type": "string", "description": "a capture's id", "maxLength": 64},
    "object": {"type": "string", "description": "an object's name, as 1-original.dcm", "maxLength": 64},
    "number": {"type": "integer", "description": "from 0", "minimum": 0, "maximum": 9999999},
    "job": {"type": "string", "maxLength": 64},
    "name": {"type": "string", "maxLength": 64},
}
_WORDS = {
    200: "done", 202: "begun", 400: "not JSON, or not a request", 401: "nobody is logged in",
    403: "the role, the token or the origin does not allow it", 404: "there is no such thing",
    408: "the body did not come in time", 409: "refused by the daemon, the outbox or the disk",
    413: "too large", 415: "a body is JSON", 421: "not this appliance's name", 422: "a key or a value is wrong",
    429: "too much at once: wait", 503: "the daemon does not answer",
}  # fmt: skip
_EVERY_CALL = (401, 403, 404, 409, 421, 422, 429, 503)
_WITH_BODY = (400, 408, 413, 415)
_FREE = {
    "/api": "this description", "/healthz": "this process runs", "/readyz": "it runs, and the daemon answers",
    "/metrics": "Prometheus text",
}  # fmt: skip


def description(calls: Sequence[Call]) -> dict[str, Any]:
    kinds = {kind for call in calls for kind in (call.body, call.query)} | {LogIn, Nothing}
    _, schemas = msgspec.json.schema_components(sorted(kinds, key=lambda kind: f"{kind.__module__}.{kind.__name__}"),
                                                ref_template="#/components/schemas/{name}")  # fmt: skip
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(PREFIX + call.path, {})[call.method.lower()] = _operation(call, schemas)
    paths[f"{PREFIX}/session"] = _session()
    for path, words in _FREE.items():
        kind = "text/plain" if path == "/metrics" else "application/json"
        paths[path] = {"get": {"summary": words, "security": [], "responses": _responses((200, 401, 421, 503), kind)}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Limpid console", "version": __version__, "license": {"name": "Apache-2.0"},
            "description": "All that the console's page does. WebSockets: /api/v1/live/{stream}, /api/v1/events; "
            "see docs/console-api.md.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {**schemas, "Error": _ERROR}, "securitySchemes": _SECURITY},
        "security": [{"session": []}, {}],
    }  # fmt: skip


_ERROR = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string", "description": "what is wrong, and who must act"},
        "code": {"type": "string"},
    },
}
_SECURITY = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
}


def _operation(call: Call, schemas: dict[str, Any]) -> dict[str, Any]:
    extra = _WITH_BODY if call.changes else ()
    done = call.statuses or (200,)
    told: dict[str, Any] = {
        "operationId": _operation_id(call),
        "summary": call.does,
        "description": f"Needs the role `{call.role}`.",
        "tags": [call.path.split("/")[1]],
        "parameters": [*_path_parameters(call), *_query_parameters(schemas[call.query.__name__])],
        "responses": _responses((*done, *_EVERY_CALL, *extra), call.gives),
    }
    if call.changes:
        told["security"] = [{"session": [], "csrf": []}, {"csrf": []}]
        reference = {"$ref": f"#/components/schemas/{call.body.__name__}"}
        required = bool(schemas[call.body.__name__].get("required"))
        told["requestBody"] = {"required": required, "content": {"application/json": {"schema": reference}}}
    return told


def _operation_id(call: Call) -> str:
    return "_".join([call.method.lower(), *re.findall(r"\w+", call.path)])


def _path_parameters(call: Call) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATHS[name]} for name in _PARAMETER.findall(call.path)
    ]


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(kind)}
        for name, kind in schema.get("properties", {}).items()
    ]


def _without_null(kind: dict[str, Any]) -> dict[str, Any]:
    """In an address there is no null: a key is there, or it is not."""
    kind = {key: value for key, value in kind.items() if key != "default" or value is not None}
    if "anyOf" in kind:
        (kind,) = [one for one in kind["anyOf"] if one != {"type": "null"}]
    if "enum" in kind:
        kind = {**kind, "enum": [each for each in kind["enum"] if each is not None]}
    return kind


def _responses(statuses: tuple[int, ...], gives: str) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    fine: dict[str, Any] = {gives: {"schema": {"type": "object"}} if gives == "application/json" else {}}
    if gives == "image/jpeg":
        fine["image/png"] = {}
    return {
        str(status): {"description": _WORDS[status], "content": fine if status < 300 else error}
        for status in sorted(statuses)
    }


def _session() -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{LogIn.__name__}"}
    log_in = {"required": True, "content": {"application/json": {"schema": reference}}}
    both = _responses((200, 401, 403, 421, 429, 409, 422, *_WITH_BODY), "application/json")
    return {
        "get": {"summary": "Who am I", "security": [], "responses": _responses((200, 421), "application/json")},
        "post": {"summary": "Log in", "security": [], "requestBody": log_in, "responses": both},
        "delete": {"summary": "Log out", "security": [{"session": [], "csrf": []}, {}], "responses": both},
    }
