"""A visitor's frame that breaks the connection: what came whole before it is answered first, as under uvicorn."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.conformance.wire import CLOSE, CONTINUATION, PING, TEXT, pack_frame
from tests.live_jupyter import JupyterServer, Kernel

APP = """
import asyncio, portico

async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if "silent" not in scope["path"]:
            await asyncio.sleep(0.02)  # longer than a server takes to see the broken frame
            await send({"type": "websocket.send", "text": message["text"].upper()})
    print("left with", message["code"], flush=True)

service = portico.serve(app, "broken", access="public")
"""


@pytest.fixture(scope="module")
def served(jupyter_server: JupyterServer) -> Iterator[JupyterServer]:
    kernel: Kernel = jupyter_server.kernel()
    kernel.execute(APP).check()
    yield jupyter_server
    kernel.shutdown()


def talk(server: JupyterServer, sent: bytes, path: str = "") -> list[tuple[int, bytes]]:
    """Upgrade, send *sent* in one piece, and read the frames that come until the connection ends."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(
            f"GET /portico/apps/broken/{path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        came = b""
        while b"\r\n\r\n" not in came:
            came += connection.recv(4096)
        head, _, came = came.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        connection.sendall(sent)
        while piece := connection.recv(4096):
            came += piece
    frames = []
    while came:
        size = came[1]
        assert size < 126
        frames.append((came[0] & 15, came[2 : 2 + size]))
        came = came[2 + size :]
    return frames


BROKEN = {
    "a reserved bit": (pack_frame(TEXT, b"x", reserved=4), 1002),
    "a reserved opcode": (pack_frame(0xF, b"x"), 1002),
    "a reserved data opcode": (pack_frame(0x3, b"x"), 1002),
    "a continuation of nothing": (pack_frame(CONTINUATION, b"x"), 1002),
    "a ping that is too long": (pack_frame(PING, b"x" * 126), 1002),
    "no mask": (pack_frame(TEXT, b"x", masked=False), 1002),
    "what is not UTF-8": (pack_frame(TEXT, b"\xff"), 1007),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_came_whole_is_answered_first(served: JupyterServer, broken: str) -> None:
    frame, code = BROKEN[broken]
    frames = talk(served, pack_frame(TEXT, b"first") + pack_frame(TEXT, b"second") + frame)
    assert frames[:2] == [(TEXT, b"FIRST"), (TEXT, b"SECOND")]
    assert [(opcode, int.from_bytes(payload[:2])) for opcode, payload in frames[2:]] == [(CLOSE, code)]


def test_where_nothing_is_answered_the_end_comes_all_the_same(served: JupyterServer) -> None:
    began = time.monotonic()
    frames = talk(served, pack_frame(TEXT, b"first") + pack_frame(0xF, b"x"), "silent")
    assert [(opcode, int.from_bytes(payload[:2])) for opcode, payload in frames] == [(CLOSE, 1002)]
    assert time.monotonic() - began < 15


def test_without_a_message_before_it_the_end_comes_at_once(served: JupyterServer) -> None:
    assert [opcode for opcode, _ in talk(served, pack_frame(0xF, b"x"))] == [CLOSE]
