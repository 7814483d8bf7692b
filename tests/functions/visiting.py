"""A server of functions, and visitors of it with no HTTP between: exact messages in and out, and leaving at will."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function
from tests.models.visitor import Answer, visit

JSON = {"content-type": "application/json"}
BOUNDARY = "---boundary"


def server(*functions: Callable[..., Any], **options: Any) -> FunctionsServer:
    """A server of *functions* under their own names."""
    typed = [typed_function(function) for function in functions]
    return FunctionsServer({one.name: one for one in typed}, **options)


async def post(app: Any, path: str, body: Any = None, **more: Any) -> Answer:
    """Send JSON, with more *headers* if they are given."""
    more["headers"] = {**JSON, **more.get("headers", {})}
    return await visit(app, "POST", path, body, **more)


def run(app: Any, path: str = "/run", body: Any = None, **more: Any) -> Answer:
    """`post` on an event loop of its own."""
    return asyncio.run(post(app, path, {} if body is None else body, **more))


def get(app: Any, path: str, method: str = "GET", **more: Any) -> Answer:
    return asyncio.run(visit(app, method, path, **more))


def form(
    *parts: tuple[str, Any] | tuple[str, str, bytes] | tuple[str, str, bytes, str],
) -> tuple[bytes, dict[str, str]]:
    """A form's body and headers: of each part its name and text, or its name, file name, bytes and media type."""
    lines = []
    for name, *rest in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        if len(rest) == 1:
            text = rest[0] if isinstance(rest[0], str) else json.dumps(rest[0])
            content = text.encode()
        else:
            head += f'; filename="{rest[0]}"'
            if len(rest) == 3:
                head += f"\r\nContent-Type: {rest[2]}"
            content = rest[1]
        lines.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    body = b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def sent_events(answer: Answer) -> list[tuple[str, Any]]:
    """The events of an answer: their names and data, as JSON where they have a name."""
    found = []
    for block in answer.body.decode().split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        name = next((line.removeprefix("event: ") for line in lines if line.startswith("event: ")), "")
        data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        if lines:
            found.append((name, json.loads(data) if name else data))
    return found
