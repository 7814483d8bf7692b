"""WebSockets, visitors' and links, that send without an end, or do not read: what they may hold."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from portico.provider.provider import Provider as Serving
from portico.provider.serving import serve
from portico.types import Receive, Scope, Send
from tests.conformance.wire import BINARY, CLOSE, CONTINUATION, PING, Cut, Wire, pack_frame, read_frame, read_head
from tests.live_jupyter import JupyterServer
from tests.live_relay import ALICE, RelayProcess

KIB = 1024
MIB = 1024 * KIB
ALLOWED = 32 * MIB
"""By how much a server may grow under twenty hostile sockets."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long each message is."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": b"%d" % len(message.get("bytes") or b"")})


class Server:
    """Either server, with the app on it."""

    def __init__(self, server: Any, token: str, path: str, link: str, stack: ExitStack) -> None:
        self.port: int = server.port
        self.token = token
        self.path = path
        self.link = link
        self.stack = stack
        self._process = psutil.Process(server.pid)

    @property
    def memory(self) -> int:
        return int(self._process.memory_info().rss)

    def dial(self, path: str, *fields: bytes, receive_buffer: int = 0) -> Wire:
        """An open WebSocket; with a *receive_buffer*, in bytes, of one who does not read much."""
        wire = Wire("127.0.0.1", self.port)
        self.stack.callback(wire.socket.close)
        if receive_buffer:
            wire.socket.close()
            wire.socket = socket.socket()
            self.stack.callback(wire.socket.close)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            wire.socket.settimeout(20)
            wire.socket.connect(("127.0.0.1", self.port))
        key = base64.b64encode(os.urandom(16))
        lines = [
            b"GET " + path.encode() + b" HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}".encode(),
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + key,
            *fields,
        ]
        wire.send(b"\r\n".join((*lines, b"", b"")))
        assert read_head(wire).status == 101
        return wire

    def visit(self, **more: Any) -> Wire:
        return self.dial(self.path, **more)

    def begin_link(self, **more: Any) -> Wire:
        return self.dial(self.link, b"Sec-WebSocket-Protocol: portico.link.1", **more)

    def answers(self) -> None:
        """Another visitor is served, a long message too."""
        other = self.visit()
        for size in (5, 100_000):
            other.send(pack_frame(BINARY, b"x" * size))
            assert read_frame(other).payload == b"%d" % size


@pytest.fixture(scope="module", params=["jupyter", "relay"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Servers of this file's own: in those that many tests have used, the allocator gives less memory back."""
    name, provider = f"hostile-{secrets.token_hex(4)}", Serving()
    if request.param == "jupyter":
        server = JupyterServer(tmp_path_factory.mktemp("jupyter")).start()
        hub, token, path = f"http://127.0.0.1:{server.port}/", server.token, f"/portico/apps/{name}/"
    else:
        relay = RelayProcess(tmp_path_factory.mktemp("relay"), anonymous=True).start()
        server, hub = relay, f"http://127.0.0.1:{relay.port}/"  # type: ignore[assignment]
        token, path = relay.token(workspace=ALICE), f"/{ALICE}/apps/{name}/"
    service = serve(app, name, hub=hub, token=token, provider=provider, access="public")
    yield server, token, path
    service.stop()
    server.stop()


@pytest.fixture
def server(served: Any) -> Iterator[Server]:
    with ExitStack() as stack:
        yield Server(*served, "/portico/link", stack)


def announced(length: int, opcode: int = BINARY) -> bytes:
    """The header of a long frame."""
    return struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length) + b"\0\0\0\0"


def is_cut(wire: Wire, code: int | None = None) -> None:
    """The server closes, and says *code* if it says anything; it may take the time that a HELLO has."""
    wire.socket.settimeout(20)
    try:
        while True:
            frame = read_frame(wire)
            if frame.opcode == CLOSE and code is not None:
                assert struct.unpack("!H", frame.payload[:2])[0] == code
    except (Cut, ConnectionError):
        pass


@pytest.mark.parametrize("length", [9 * KIB, 256 * KIB, 15 * MIB])
def test_a_stranger_announces_a_long_message(server: Server, length: int) -> None:
    wire = server.begin_link()
    wire.send(announced(length))
    begun = time.monotonic()
    is_cut(wire, 1009)
    assert time.monotonic() - begun < 4, "it was kept until HELLO was late"


def test_a_stranger_sends_fragments(server: Server) -> None:
    wire = server.begin_link()
    wire.send(pack_frame(BINARY, b"x" * KIB, final=False))
    for _ in range(10):
        wire.send(pack_frame(CONTINUATION, b"x" * KIB, final=False))
    begun = time.monotonic()
    is_cut(wire, 1009)
    assert time.monotonic() - begun < 4


def test_strangers_hold_next_to_nothing(server: Server) -> None:
    server.answers()
    before = server.memory
    for _ in range(20):
        wire = server.begin_link()
        wire.send(announced(15 * MIB) + b"x" * MIB)
    for _ in range(20):
        wire = server.begin_link()
        wire.send(pack_frame(BINARY, b"", final=False) + pack_frame(CONTINUATION, b"", final=False) * 10_000)
    server.answers()
    assert server.memory - before < ALLOWED


@pytest.mark.parametrize("kind", ["link", "visitor"])
def test_whoever_reads_no_pongs_is_cut(server: Server, kind: str) -> None:
    server.answers()
    before = server.memory
    pings = pack_frame(PING, b"p" * 125) * 2000
    for _ in range(5):
        wire = server.begin_link(receive_buffer=4096) if kind == "link" else server.visit(receive_buffer=4096)
        wire.socket.settimeout(10)
        sent = 0
        while sent < 64 * MIB:
            try:
                wire.socket.sendall(pings)
            except ConnectionError:  # a time-out would say that it is neither read nor cut
                break
            sent += len(pings)
        else:
            raise AssertionError("its pongs are kept for ever")
    assert server.memory - before < ALLOWED
    server.answers()


@pytest.mark.parametrize("how", ["one frame", "fragments", "empty fragments"])
def test_visitors_whose_messages_do_not_end(server: Server, how: str) -> None:
    server.answers()
    before = server.memory
    most = 60 * KIB if how == "empty fragments" else 15 * MIB - 512 * KIB  # what is small costs the more time
    wires = [server.visit() for _ in range(20)]
    block = b"x" * (256 * KIB)
    begin = {
        "one frame": announced(15 * MIB),
        "fragments": pack_frame(BINARY, b"", final=False),
        "empty fragments": pack_frame(BINARY, b"", final=False),
    }[how]
    piece = {
        "one frame": block,
        "fragments": pack_frame(CONTINUATION, block, final=False),
        "empty fragments": pack_frame(CONTINUATION, b"", final=False) * 10_000,
    }[how]
    for wire in wires:
        wire.socket.setblocking(False)
        wire.socket.send(begin)
    waits = dict.fromkeys(wires, b"")
    sent = dict.fromkeys(wires, 0)
    quiet = 0
    while quiet < 20 and min(sent.values()) < most:
        moved = False
        for wire in wires:
            if sent[wire] >= most:
                continue
            try:
                waits[wire] = waits[wire] or piece
                count = wire.socket.send(waits[wire])
            except BlockingIOError:
                continue
            except ConnectionError:  # it was the oldest for too long, while others waited
                sent[wire] = most
                continue
            waits[wire] = waits[wire][count:]
            sent[wire] += count
            moved = True
        quiet = 0 if moved else quiet + 1
        if not moved:
            time.sleep(0.05)  # what the kernel has taken is read meanwhile
    assert server.memory - before < ALLOWED
    server.answers()


def test_a_message_of_16_mib_still_passes(server: Server) -> None:
    wire = server.visit()
    wire.send(pack_frame(BINARY, b"x" * (16 * MIB)))
    assert read_frame(wire).payload == b"%d" % (16 * MIB)
    wire.send(pack_frame(BINARY, b"", final=False))
    for number in range(64):
        wire.send(pack_frame(CONTINUATION, b"y" * (256 * KIB), final=number == 63))
    assert read_frame(wire).payload == b"%d" % (16 * MIB)


def test_small_messages_by_the_thousands_wait_in_bounds(server: Server) -> None:
    before = server.memory
    wires = [server.visit() for _ in range(20)]
    for wire in wires:
        wire.send(pack_frame(BINARY, b"") * 3000)
    assert server.memory - before < ALLOWED
    for wire in wires:
        wire.socket.close()
    server.answers()
