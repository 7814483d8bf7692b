"""Wrappers for the tests of the OpenAI API over pipelines, and their deployments."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.deployments import Deployments
from portico.pipelines.wrapper import BasePipelineWrapper, Method, has
from tests.models.visitor import Answer, visit

_METHODS: dict[str, tuple[Method, Method]] = {
    "chat": ("run_chat_completion_async", "run_chat_completion"),
    "response": ("run_response_async", "run_response"),
    "upload": ("run_file_upload", "run_file_upload"),
}


class Wrapper(BasePipelineWrapper):
    """One with no pipeline."""

    def setup(self) -> None:
        """Nothing is to be done."""


class Echo(Wrapper):
    """Answers with what it was called with, as JSON."""

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str:
        return json.dumps({"model": model, "messages": messages, "body": body})

    def run_response(self, model: str, input_items: list[dict], body: dict) -> str:
        return json.dumps({"model": model, "items": input_items, "body": body})


class Event:
    """An event for a page, as Open WebUI takes it."""

    def __init__(self, type: str, **data: Any) -> None:
        self.fields = {"type": type, "data": data}

    def to_event_dict(self) -> dict[str, Any]:
        return self.fields


def deployed(name: str, wrapper: BasePipelineWrapper) -> Deployment:
    """The deployment of a wrapper, with what it has for the OpenAI API."""
    found = {
        field: next((getattr(wrapper, method) for method in methods if has(wrapper, method)), None)
        for field, methods in _METHODS.items()
    }
    return Deployment(name=name, pipeline=None, wrapper=wrapper, source=Source(kind="object"), **found)


def table(**wrappers: BasePipelineWrapper) -> Deployments:
    """A server's deployments, by their names."""
    deployments = Deployments()
    for name, wrapper in wrappers.items():
        deployments.add(deployed(name, wrapper))
    return deployments


def request(
    app: Any, path: str, body: Any = None, *, method: str = "POST", headers: Sequence[tuple[bytes, bytes]] = ()
) -> Answer:
    """Send one request with just these headers."""

    async def with_headers(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "headers": list(headers)}, receive, send)

    return asyncio.run(visit(with_headers, method, path, body))
