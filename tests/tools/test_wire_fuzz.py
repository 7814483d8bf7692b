"""Whatever comes, it is answered: with a status below 500, a message of JSON-RPC, and not a word in the log."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import random
import time
from typing import Any

import pytest

from portico.functions.as_tools import tools_of
from portico.functions.signature import typed_function
from portico.tools.server import ToolServer
from tests.tools.served import messages, run
from tests.tools.test_modern import META, VERSION

ODD: list[Any] = [
    *(None, True, False, 0, -1, 7, 1.5, 1e308, 10**30, "", "a", "\ud800", "\x00", "é" * 300, "tools/call"),
    *([], [1], [[[[]]]], {}, {"a": 1}, {"": None}, {"name": "add"}, META, VERSION, "legacy", "add", "notifications/x"),
]
"""Values that stand where others are meant."""

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}
BODIES: list[Any] = [
    CALL,
    {**CALL, "params": {**CALL["params"], "_meta": META}},  # type: ignore[dict-item]
    {**CALL, "params": {"name": "echo", "arguments": {"x": [1, {"y": "z"}]}, "_meta": META}},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}},
    {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}},
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 1, "result": {}},
    {"jsonrpc": "2.0", "id": 1, "method": "ping"},
]
HEADERS = {
    "content-type": ["application/json", "application/json; charset=utf-8", "text/plain", ""],
    "accept": ["application/json, text/event-stream", "application/json", "*/*", "text/html", ""],
    "mcp-protocol-version": [VERSION, "2025-11-25", "2024-11-05", "x", "", "\xff"],
    "mcp-method": ["tools/call", "tools/list", "x", ""],
    "mcp-name": ["add", "echo", "=?base64?YWRk?=", "=?base64?!?=", "x", ""],
    "mcp-session-id": ["x", "", "\xff" * 50],
    "content-encoding": ["identity", "gzip", "x"],
    "last-event-id": ["1"],
}


def add(a: float, b: float) -> float:
    return a + b


def echo(**anything: Any) -> Any:
    return anything


class Fuzz:
    """Chooses what comes, and sends it."""

    def __init__(self, server: ToolServer, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.sessions: list[str] = []

    def spoilt(self, value: Any) -> Any:
        """*value* with something in it replaced, left out or added."""
        if not isinstance(value, dict | list) or not value:
            return self.random.choice(ODD)
        value = copy.deepcopy(value)
        places: list[tuple[Any, Any]] = []
        rows = [value]
        while rows:
            one = rows.pop()
            keys = list(one) if isinstance(one, dict) else range(len(one))
            for key in keys:
                places.append((one, key))
                if isinstance(one[key], dict | list):
                    rows.append(one[key])
        holder, key = self.random.choice(places)
        what = self.random.random()
        if what < 0.6:
            holder[key] = copy.deepcopy(self.random.choice(ODD))
        elif what < 0.8:
            del holder[key]
        elif isinstance(holder, dict):
            holder[self.random.choice(("_meta", "id", "x", "progressToken", "cursor"))] = self.random.choice(ODD)
        return value

    def body(self) -> bytes:
        value = self.random.choice(BODIES)
        for _ in range(self.random.choice((0, 1, 1, 2, 3))):
            value = self.spoilt(value)
        raw = json.dumps(value).encode()
        if self.random.random() < 0.1:
            at = self.random.randrange(len(raw))
            raw = raw[:at] + bytes([self.random.randrange(256)]) + raw[at + self.random.randrange(3) :]
        return raw

    def headers(self) -> list[tuple[bytes, bytes]]:
        chosen = {name: values[0] for name, values in HEADERS.items() if name in ("content-type", "accept")}
        for name, values in HEADERS.items():
            if self.random.random() < 0.3:
                chosen[name] = self.random.choice(values)
        if self.sessions and self.random.random() < 0.5:
            chosen["mcp-session-id"] = self.random.choice(self.sessions[-5:])
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in chosen.items()]
        return pairs + ([self.random.choice(pairs)] if self.random.random() < 0.05 else [])

    async def one(self) -> None:
        method = self.random.choices(("POST", "GET", "DELETE", "PUT", "HEAD", "OPTIONS"), (20, 2, 1, 1, 1, 1))[0]
        body, headers = self.body() if method == "POST" else b"", self.headers()
        left = asyncio.Event()
        sent = [{"type": "http.request", "body": body}]
        told: list[Any] = []

        async def receive() -> Any:
            if sent:
                return sent.pop()
            if method != "GET":
                await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.append(message)

        scope = {"type": "http", "method": method, "path": "/mcp", "headers": headers, "client": ("1.2.3.4", 1)}
        async with asyncio.timeout(5):
            await self.server(scope, receive, send)
        what = (method, headers, body)
        assert told, what
        status, fields = told[0]["status"], dict(told[0]["headers"])
        assert status < 500, what
        text = b"".join(message.get("body", b"") for message in told[1:]).decode()
        if fields.get(b"content-type", b"").startswith(b"text/event-stream"):
            assert all(message["jsonrpc"] == "2.0" for message in messages(text)), what
        elif text:
            assert json.loads(text)["jsonrpc"] == "2.0", what
        if session := fields.get(b"mcp-session-id"):
            self.sessions.append(session.decode())


@pytest.mark.fuzz
def test_anything_is_answered(fuzz_seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)

    async def test() -> None:
        server = ToolServer(tools_of([typed_function(add), typed_function(echo)]), name="flats")
        fuzz = Fuzz(server, seed)
        end = time.monotonic() + fuzz_seconds
        count = 0
        while time.monotonic() < end:
            await fuzz.one()
            count += 1
        assert count > 100
        assert len(server._endpoint._handshake.sessions) <= 64  # type: ignore[union-attr]
        await server.close()

    with caplog.at_level(logging.WARNING):
        run(test(), fuzz_seconds + 20)
    assert [record.getMessage() for record in caplog.records] == []
