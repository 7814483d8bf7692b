"""The routes of the OpenAI API over pipelines, as OpenAPI describes them.

Here: their shapes, as far as clients can rely on them. Names of operations are those of Hayhooks 2.1. Source: OpenAPI
Specification 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from portico.pipelines.deployment import Deployment

_TEXT: Final = {"type": "string"}
_OBJECT: Final = {"type": "object", "additionalProperties": True}
_OBJECTS: Final = {"type": "array", "items": _OBJECT}

_MODEL: Final = {"model": {**_TEXT, "description": "The name of a pipeline."}}

_CHAT: Final[Mapping[str, Any]] = {
    "title": "ChatRequest",
    "type": "object",
    "required": ["messages"],
    "properties": {"messages": _OBJECTS, "stream": {"type": "boolean", "default": False}},
    "additionalProperties": True,
}
"""Further fields are handed to the pipeline as they come."""

_RESPONSE: Final[Mapping[str, Any]] = {
    "title": "ResponseRequest",
    "type": "object",
    "required": [],
    "properties": {
        "input": {"anyOf": [_TEXT, _OBJECTS, {"type": "null"}]},
        "instructions": {"type": ["string", "null"]},
        "previous_response_id": {"type": ["string", "null"]},
        "stream": {"type": "boolean", "default": False},
    },
    "additionalProperties": True,
}

_UPLOAD: Final[Mapping[str, Any]] = {
    "title": "FileRequest",
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}, "purpose": _TEXT},
}

_ERROR: Final = {
    "type": "object",
    "required": ["detail", "error"],
    "properties": {"detail": {}, "error": {"type": "object"}},
}


def openai_paths(deployments: Iterable[Deployment]) -> dict[str, dict[str, Any]]:
    """The operations by path and method: those of the whole server, and those of each pipeline that chats."""
    chat, response = _of_any(_CHAT), _of_any(_RESPONSE)
    paths: dict[str, dict[str, Any]] = {}
    for before, after in (("/v1", ""), ("", "_alias")):
        paths[f"{before}/models"] = {"get": _operation(f"openai_models{after}", "List models")}
        paths[f"{before}/chat/completions"] = {
            "post": _operation(f"openai_chat_completions{after}", "Create chat completion", chat, streams=True)
        }
        paths[f"{before}/responses"] = {
            "post": _operation(f"openai_responses{after}", "Create response", response, streams=True)
        }
        paths[f"{before}/files"] = {
            "post": _operation(f"openai_files_create{after}", "Upload file", _UPLOAD, media_type="multipart/form-data")
        }
    for deployment in deployments:
        if deployment.chat is not None:
            name = deployment.name
            own = {**_CHAT, "properties": {**_CHAT["properties"], **_MODEL}}
            for route in ("chat", "chat/completions"):
                id = re.sub(r"\W", "_", f"{name}_{route}")
                summary = f"Chat with {name}"
                paths[f"/{name}/{route}"] = {"post": _operation(id, summary, own, streams=True)}
    return paths


def _of_any(request: Mapping[str, Any]) -> dict[str, Any]:
    """A *request* that says which pipeline it is for."""
    return {**request, "required": ["model", *request["required"]], "properties": {**_MODEL, **request["properties"]}}


def _operation(
    id: str,
    summary: str,
    request: Mapping[str, Any] | None = None,
    *,
    media_type: str = "application/json",
    streams: bool = False,
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _OBJECT}}
    if streams:
        content["text/event-stream"] = {"schema": _TEXT}
    operation: dict[str, Any] = {
        "tags": ["openai"],
        "summary": summary,
        "operationId": id,
        "responses": {
            "200": {"description": "Successful Response", "content": content},
            "default": {"description": "An error", "content": {"application/json": {"schema": _ERROR}}},
        },
    }
    if request is not None:
        operation["requestBody"] = {"required": True, "content": {media_type: {"schema": dict(request)}}}
    return operation
