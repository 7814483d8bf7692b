"""Visitors that send any bytes, and the app that they are after: for the tests of a relay among strangers."""

from __future__ import annotations

import socket
from typing import Any

import httpx

from tests.conformance.wire import Head, Wire, read_fields
from tests.live_relay import RelayProcess
from tests.waiting import eventually

HANGS = 20.0  # seconds that nothing here may take

reached: list[str] = []
"""The requests that came to the app, as method and path."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says how long the body is; ``/never`` does not answer, ``/endless`` does not end."""
    path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["type"] != "http":
        return
    reached.append(f"{scope['method']} {path}")
    if path == "/never":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/endless":
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b"%d" % size})


class Visitor(Wire):
    """A visitor's connection, on which any bytes are sent."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=HANGS, source_address=(address, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.ended = False

    def answer(self) -> Head:
        """The head of an answer."""
        version, status, reason = self.read_line().split(b" ", 2)
        return Head(version.decode(), int(status), reason.decode(), read_fields(self))

    def refused(self, status: int) -> Head:
        """The head of an answer after which the connection is closed."""
        answer = self.answer()
        assert answer.status == status, answer
        assert answer.get("connection") == ["close"], answer
        self.read(int(answer.get("content-length")[0]))
        assert self.read_to_end() == b""
        return answer


def head(path: str, *fields: bytes, method: str = "GET") -> bytes:
    """Of a request to ``cat``."""
    line = f"{method} /alice/apps/cat/{path} HTTP/1.1".encode()
    return b"\r\n".join((line, b"Host: localhost", *fields, b"", b""))


class Watcher:
    """Who runs the relay, and looks at it."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        self._headers = {"Authorization": f"Bearer {relay.token('admin')}"}

    def counts(self) -> dict[str, int]:
        """What is under way, as the admin's API tells it."""
        url = self.relay.url + "portico/api/admin"
        state = httpx.get(url, headers=self._headers, timeout=HANGS).raise_for_status().json()
        return {
            **{name: state["totals"][name] for name in ("streams", "websockets", "held")},
            "in flight": sum(service["in_flight"] for service in state["services"]),
            "of links": sum(link["streams"] for link in state["links"]),
        }

    def until(self, **expected: int) -> None:
        """Wait until these counts are as *expected*."""
        eventually(lambda: expected.items() <= self.counts().items(), HANGS, f"{expected}")

    def until_nothing_is_left(self) -> None:
        eventually(lambda: not any(self.counts().values()), HANGS, "the end of all that is under way")

    def counter(self, name: str) -> float:
        """A sample of ``/metrics`` that has no label."""
        text = httpx.get(self.relay.url + "metrics", headers=self._headers, timeout=HANGS).raise_for_status().text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def memory(self) -> int:
        """Bytes that the relay's process holds."""
        with open(f"/proc/{self.relay.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
