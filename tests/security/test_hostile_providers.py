"""A provider that answers with what no app may: each edge gives its visitor one response, or cuts the connection."""

from __future__ import annotations

import base64
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import h11
import pytest
from websockets.exceptions import ConnectionClosed

from portico.protocol import frames
from portico.protocol.frames import FIN
from portico.types import Headers
from tests.conformance.wire import Wire
from tests.live_jupyter import JupyterServer
from tests.live_relay import ALICE, RelayProcess
from tests.security.provider import Provider

SECOND = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nevil!"
"""What a proxy in front would take for the answer to somebody else's request."""

Place = tuple[Any, str, str, ExitStack]
"""A server, a provider's token, the path of what is served, and what is to be closed afterwards."""


@pytest.fixture(params=["jupyter", "relay"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    name = f"hostile-{secrets.token_hex(4)}"
    if request.param == "jupyter":
        server: JupyterServer = request.getfixturevalue("jupyter_server")
        with ExitStack() as stack:
            yield server, server.token, f"/portico/apps/{name}/", stack
    else:
        relay: RelayProcess = request.getfixturevalue("relay")
        with ExitStack() as stack:
            yield relay, relay.token(workspace=ALICE), f"/{ALICE}/apps/{name}/", stack


def serve(place: Place, status: int, accept: int = 0, rest: bytes = SECOND, headers: Headers | None = None) -> None:
    """Answer each stream with a HEAD of *status* and *headers*, and *rest*; past every check of this end."""
    fields = headers or []
    lengths, block = frames._pack_headers(fields)
    server, token, path, stack = place
    provider = Provider(server, token)
    assert provider.register(name=path.split("/")[-2], access="public").ok

    def run() -> None:
        try:
            while True:
                message = provider.socket.recv()
                assert isinstance(message, bytes)
                while message:
                    kind, _, _, stream, length = frames.HEADER.unpack_from(message)
                    message = message[frames.HEADER_SIZE + length :]
                    if kind == frames.OPEN:
                        head = frames.pack(
                            frames.HEAD, 0, stream, frames._HEAD.pack(status, accept, 0, len(fields)) + lengths + block
                        )
                        provider.socket.send(head + frames.pack(frames.DATA, FIN, stream, rest))
        except ConnectionClosed:
            pass

    thread = threading.Thread(target=run)
    thread.start()
    stack.callback(thread.join, 10)
    stack.callback(provider.socket.close)


def ask(place: Place, *fields: bytes, method: bytes = b"GET") -> bytes:
    server, _, path, stack = place
    wire = Wire("127.0.0.1", server.port)
    stack.callback(wire.socket.close)
    host = f"Host: 127.0.0.1:{server.port}".encode()
    wire.send(
        b"\r\n".join((method + b" " + path.encode() + b" HTTP/1.1", host, b"Connection: close", *fields, b"", b""))
    )
    return wire.read_to_end()


def upgrade(place: Place) -> bytes:
    server, _, path, stack = place
    wire = Wire("127.0.0.1", server.port)
    stack.callback(wire.socket.close)
    key = base64.b64encode(os.urandom(16))
    fields = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + key)
    host = f"Host: 127.0.0.1:{server.port}".encode()
    wire.send(b"\r\n".join((b"GET " + path.encode() + b" HTTP/1.1", host, *fields, b"", b"")))
    return wire.read_to_end()


def one_response(written: bytes) -> tuple[int, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(written)
    head, body = client.next_event(), b""
    assert isinstance(head, h11.Response), head
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    assert client.trailing_data[0] == b""
    return head.status_code, body


@pytest.mark.parametrize("status", [100, 101, 103, 199])
def test_a_status_that_announces_another_response(place: Place, status: int) -> None:
    serve(place, status)
    told, body = one_response(ask(place))
    assert told == 502
    assert b"evil" not in body


@pytest.mark.parametrize("status", [100, 101, 103, 199])
def test_the_same_to_a_websocket(place: Place, status: int) -> None:
    serve(place, status)
    told, body = one_response(upgrade(place))
    assert told == 502
    assert b"evil" not in body


@pytest.mark.parametrize("status", [600, 999])
def test_a_status_without_a_meaning(place: Place, status: int) -> None:
    """It is written, or said to be none that can be."""
    serve(place, status)
    assert one_response(ask(place))[0] in (status, 502)
    assert one_response(upgrade(place))[0] in (status, 502)
    assert one_response(ask(place, b"Content-Length: 0", method=b"POST"))[0] in (status, 502)


@pytest.mark.parametrize("status", [204, 304])
def test_a_denial_without_a_body(place: Place, status: int) -> None:
    serve(place, status)
    assert one_response(upgrade(place)) == (status, b"")


def test_a_request_that_is_accepted_as_a_websocket(place: Place) -> None:
    serve(place, 101, accept=1)
    assert one_response(ask(place))[0] == 502


@pytest.mark.parametrize("status", [200, 206, 404])
@pytest.mark.parametrize("length", [b"0", b"3", b"9999", b"%d" % (len(SECOND) - 1)])
def test_a_body_of_another_length_than_it_says(place: Place, status: int, length: bytes) -> None:
    """The visitor is cut off, nothing passes for a second response, and nothing fails in the hub."""
    log = place[0].log
    begun = log.stat().st_size
    serve(place, status, headers=[(b"content-length", length)])
    told = ask(place)
    assert b"evil" not in told
    assert told.count(b"HTTP/1.1 ") <= 2  # the one in the body may be a part of the body
    assert b"Traceback" not in log.read_bytes()[begun:]
