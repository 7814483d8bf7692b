"""A visitor of an ASGI app with no server between: exact messages in and out, and leaving at will."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

MESSAGES = [{"role": "user", "content": "hello"}]


class Answer:
    """What an app sent for one request."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def frames(self) -> list[bytes]:
        """The bodies of the sends, without empty ones."""
        return [message["body"] for message in self.sent[1:] if message.get("body")]

    @property
    def body(self) -> bytes:
        return b"".join(self.frames)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.json["error"])

    @property
    def ended(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False

    @property
    def events(self) -> list[Any]:
        """The data of each event, which must all be whole frames; ``[DONE]`` as a text."""
        events = []
        for frame in self.frames:
            text = frame.decode("ascii")
            assert text.endswith("\n\n"), text
            assert text.count("\n\n") == 1, text
            lines = text.removesuffix("\n\n").split("\n")
            assert lines[-1].startswith("data: "), text
            data = lines[-1].removeprefix("data: ")
            events.append(data if data == "[DONE]" else json.loads(data))
            if len(lines) == 2:
                assert lines[0] == f"event: {events[-1]['type']}"
        return events

    @property
    def chunks(self) -> list[Any]:
        """The events of a stream that ends as it should, without ``[DONE]``."""
        events = self.events
        assert events[-1] == "[DONE]"
        assert self.ended
        return events[:-1]

    @property
    def text(self) -> str:
        """The text of choice 0 in a streamed chat."""
        return "".join(
            choice["delta"].get("content") or ""
            for chunk in self.chunks
            for choice in chunk["choices"]
            if choice["index"] == 0
        )


def scope(method: str, path: str, **more: Any) -> dict[str, Any]:
    """An HTTP scope."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [],
        **more,
    }


async def visit(
    app: Any,
    method: str,
    path: str,
    body: Any = None,
    *,
    leave: Callable[[Answer], bool] | None = None,
    leaving: asyncio.Event | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Answer:
    """Send one request. The visitor leaves once *leave* says so of what has come, or *leaving* is set."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = Answer()
    gone = leaving or asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": raw, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        answer.sent.append(message)
        if leave is not None and leave(answer):
            gone.set()

    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await app(scope(method, path, headers=pairs, **more), receive, send)
    return answer


def ask(app: Any, method: str, path: str, body: Any = None, **more: Any) -> Answer:
    """`visit` on an event loop of its own."""
    return asyncio.run(visit(app, method, path, body, **more))


def chat(app: Any, **fields: Any) -> Answer:
    """One chat request; ``messages`` are made up unless given."""
    return ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, **fields})
