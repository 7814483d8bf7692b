"""The server's own description of its routes, in OpenAPI 3.1, at ``GET openapi.json``.

Here: the shapes of requests and answers, as far as clients can rely on them. What is checked stands in `fields`,
`messages` and the endpoints; a test holds the two together. Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.models.fields import MAX_CHOICES, MAX_DIMENSIONS, MAX_STOP_LENGTH, MAX_STOPS
from portico.models.registry import Kind

_TEXT = {"type": "string"}
_OBJECT: dict[str, Any] = {"type": "object"}
_ID = {"in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}

_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

_STOP: dict[str, Any] = {"type": "string", "maxLength": MAX_STOP_LENGTH}

_SAMPLING: dict[str, Any] = {
    "model": _TEXT,
    "stream": {"type": ["boolean", "null"]},
    "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
    "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "stop": {"anyOf": [_STOP, {"type": "array", "items": _STOP, "maxItems": MAX_STOPS}, {"type": "null"}]},
    "user": {"type": ["string", "null"]},
}

_CHOICES: dict[str, Any] = {
    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_CHOICES},
    "max_tokens": {"type": ["integer", "null"], "minimum": -1},
    "stream_options": {
        "type": ["object", "null"],
        "properties": {"include_usage": {"type": ["boolean", "null"]}},
    },
}

_MESSAGE: dict[str, Any] = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": _TEXT,
    },
}

_INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["system", "developer", "user", "assistant"]}, "content": _TEXT},
}

_REQUESTS: dict[str, dict[str, Any]] = {
    "chat/completions": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            **_SAMPLING,
            **_CHOICES,
            "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
            "max_completion_tokens": {"type": ["integer", "null"], "minimum": -1},
        },
    },
    "completions": {
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            **_SAMPLING,
            **_CHOICES,
            "prompt": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _TEXT}]},
            "echo": {"type": ["boolean", "null"]},
            "suffix": {"type": ["string", "null"]},
        },
    },
    "embeddings": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": _TEXT,
            "input": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string", "minLength": 1}},
                ]
            },
            "encoding_format": {"enum": ["float", "base64", None]},
            "dimensions": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_DIMENSIONS},
            "user": {"type": ["string", "null"]},
        },
    },
    "responses": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            **_SAMPLING,
            "input": {"anyOf": [_TEXT, {"type": "array", "items": _INPUT}]},
            "instructions": {"type": ["string", "null"]},
            "max_output_tokens": {"type": ["integer", "null"], "minimum": -1},
            "previous_response_id": {"type": ["string", "null"]},
            "store": {"type": ["boolean", "null"]},
        },
    },
}


def description(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The OpenAPI document of a server with models of these *kinds*, by id. Paths have ``/v1``; all work without it."""
    paths: dict[str, Any] = {
        "/v1/models": {"get": _operation("List the models.")},
        "/v1/models/{id}": {"get": _operation("Describe a model; its id may hold slashes.", [{"name": "id", **_ID}])},
        "/v1/responses/{id}": {
            "get": _operation(
                "Read a stored response, or, of one made in the background, its events.",
                [
                    {"name": "id", **_ID},
                    {"name": "stream", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "starting_after", "in": "query", "schema": {"type": "integer", "minimum": 0}},
                ],
                streams=True,
            ),
            "delete": _operation("Forget a stored response.", [{"name": "id", **_ID}]),
        },
        "/v1/responses/{id}/input_items": {
            "get": _operation(
                "List what a response was made from.",
                [
                    {"name": "id", **_ID},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
                    {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"]}},
                    {"name": "after", "in": "query", "schema": _TEXT},
                ],
            )
        },
        "/v1/responses/{id}/cancel": {"post": _operation("Cancel a response.", [{"name": "id", **_ID}])},
        "/health": {"get": _operation("Tell that the server runs.")},
    }
    for route, schema in _REQUESTS.items():
        kind = "embedding" if route == "embeddings" else "chat"
        schema = _with_models(schema, [id for id, known in kinds.items() if known == kind])
        streams = schema["properties"].get("stream") is not None
        paths[f"/v1/{route}"] = {"post": _operation(f"Create {route.replace('/', ' ')}.", body=schema, streams=streams)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Portico models",
            "version": "1",
            "description": "The OpenAI API over the functions of a notebook.",
        },
        "paths": paths,
    }


def _with_models(schema: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """*schema* with the models that it is for. Where there is one, requests need not name it."""
    optional = len(ids) == 1
    model: dict[str, Any] = {"type": ["string", "null"] if optional else "string"}
    if ids:
        model["examples"] = ids[:20]
    required = [name for name in schema["required"] if not (optional and name == "model")]
    return {**schema, "required": required, "properties": {**schema["properties"], "model": model}}


def _operation(
    summary: str,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    streams: bool = False,
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _OBJECT}}
    if streams:
        content["text/event-stream"] = {}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": content},
            "default": {"description": "An error.", "content": {"application/json": {"schema": _ERROR}}},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation
