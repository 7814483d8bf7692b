"""What a visitor does: asks over a socket of its own, reads a whole answer or a part, and leaves."""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from tests.conformance.wire import Answer, Head, Wire, read_answer

_numbers = itertools.count()


def new_id() -> str:
    """A name for one request (see `tests.integration.apps`)."""
    return f"request-{os.getpid()}-{next(_numbers)}"


def send(url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"", **at: Any) -> Wire:
    """Open a connection and send a request's head, and *body* if there is one (its length is announced)."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    wire = Wire(parts.hostname, parts.port)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    given = dict(headers or {})
    if body and "Content-Length" not in given:
        given["Content-Length"] = str(len(body))
    lines += [f"{name}: {value}" for name, value in given.items()]
    wire.send(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    return wire


def get(url: str, headers: dict[str, str] | None = None, method: str = "GET", body: bytes = b"") -> tuple[Head, bytes]:
    """A whole exchange: the head and the body of the answer."""
    wire = send(url, method, headers, body)
    try:
        answer = read_answer(wire, method.encode())
        content = answer.read_rest()
        assert answer.complete, "the answer was cut"
        return answer.head, content
    finally:
        wire.close()


def begin(url: str, until: bytes, headers: dict[str, str] | None = None) -> tuple[Wire, Answer]:
    """Ask, and read as far as the end of *until* in the body."""
    wire = send(url, headers=headers)
    answer = read_answer(wire)
    assert answer.head.status == 200, answer.read_rest()
    assert answer.read(len(until)) == until
    return wire, answer


def noted(app_url: str, request_id: str) -> dict[str, Any]:
    """What the app noted of a request (see `tests.integration.apps`)."""
    _, body = get(f"{app_url}noted?id={request_id}")
    return dict(json.loads(body))


def leave(wire: Wire) -> float:
    """Break the connection without a word, as a closed laptop's browser does not; returns when, as time.time()."""
    now = time.time()
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire.socket.close()
    return now
