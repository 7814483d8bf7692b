"""A hostile provider's HEAD makes one response of the hub's, or none: a proxy in front never sees a second one.

What the hub writes is read by h11, as a client that goes on to its next request would read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import pytest

from portico.hub.http1 import ResponseWriter, status_line
from portico.link import Stream
from portico.protocol import frames
from portico.protocol.events import Open
from portico.protocol.frames import FIN
from portico.types import Headers
from tests.in_process import HereHub, Publisher, Received, a_hub, a_request, echo
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


SECOND = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nevil!"
"""What a hostile app would like a proxy to read as the answer to somebody else's request."""


class Hostile(Publisher):
    """Answers every stream with the frames that it was given, unchecked."""

    answer: list[tuple[int, int, bytes]]
    """Type, flags and payload of each."""

    def on_open(self, stream: Stream, request: Open) -> Any:
        assert self.transport is not None
        self.transport.send(b"".join(frames.pack(kind, flags, stream.id, rest) for kind, flags, rest in self.answer))
        return stream.handler


def head(status: int, headers: Headers, accept: int = 0, subprotocol: bytes = b"") -> bytes:
    lengths, block = frames._pack_headers(headers)
    return frames._HEAD.pack(status, accept, len(subprotocol), len(headers)) + subprotocol + lengths + block


class Wire(Received):
    """A visitor behind a proxy: keeps the bytes that the hub writes."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.written = b""
        self._writer = ResponseWriter(method, "1.1", False)

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> None:
        self.status, self.headers = status, headers
        try:
            self.written += self._writer.begin(status, headers, body, fin)
        except ValueError:
            self.cut()
            return
        self.done = fin

    def write(self, body: bytes, fin: bool) -> None:
        if self.done:
            return
        try:
            self.written += self._writer.more(body, fin)
        except ValueError:
            self.cut()
            return
        self.done = fin

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        self.respond(status, headers, body, True)


@asynccontextmanager
async def hostile(hub: HereHub, *answer: tuple[int, int, bytes]) -> AsyncIterator[Hostile]:
    provider = Hostile(hub, hub.keys.mint_provider("k1"))
    hub.kernels["k1"] = 100
    provider.answer = list(answer)
    await provider.connect()
    await provider.register("cat", access="public")
    yield provider


async def visit(hub: HereHub, method: str = "GET", *, websocket: bool = False) -> Wire:
    request, wire = a_request("cat/", method, websocket=websocket), Wire(method)
    assert (await hub.open(request, wire)).stream is not None
    async with asyncio.timeout(5):
        await until(lambda: wire.done or wire.status == 101)
    return wire


def read(method: str, written: bytes, cut: bool) -> list[h11.Event]:
    """What a client reads. A response that was cut is told by the connection's end."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(written)
    if cut:
        client.receive_data(b"")
    events: list[h11.Event] = []
    while True:
        event = client.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            break
        events.append(event)
        if isinstance(event, h11.EndOfMessage):
            break
    assert client.trailing_data[0] == b"", "something follows the response"
    return events


STATUSES = [0, 1, 99, 100, 101, 102, 103, 199, 200, 204, 205, 206, 299, 304, 307, 500, 599, 600, 999, 1000, 9999, 65535]

FIELDS: dict[str, Headers] = {
    "nothing": [],
    "a coding": [(b"transfer-encoding", b"chunked")],
    "a coding in capitals": [(b"Transfer-Encoding", b"chunked")],
    "a coding with an underscore": [(b"transfer_encoding", b"chunked")],
    "a coding behind a space": [(b" transfer-encoding", b"chunked")],
    "a coding before a space": [(b"transfer-encoding ", b"chunked")],
    "a coding before a colon": [(b"transfer-encoding:", b"chunked")],
    "a length too short": [(b"content-length", b"3")],
    "a length too long": [(b"content-length", b"300")],
    "no length": [(b"content-length", b"0")],
    "two lengths": [(b"content-length", b"3"), (b"content-length", b"%d" % len(SECOND))],
    "a length in capitals": [(b"Content-Length", b"3"), (b"content-length", b"%d" % len(SECOND))],
    "a length that wraps around": [(b"content-length", b"18446744073709551619")],
    "a length that no integer holds": [(b"content-length", b"9" * 5000)],
    "a length with a sign": [(b"content-length", b"+3")],
    "a list of lengths": [(b"content-length", b"3, 3")],
    "an upgrade": [(b"connection", b"upgrade"), (b"upgrade", b"h2c")],
    "a trailer": [(b"trailer", b"content-length"), (b"te", b"trailers")],
    "a connection that names the length": [(b"connection", b"content-length"), (b"content-length", b"3")],
    "a break in a value": [(b"x-a", b"b\r\n\r\n" + SECOND)],
    "a line feed in a value": [(b"x-a", b"b\n\n" + SECOND)],
    "a carriage return in a value": [(b"x-a", b"b\rtransfer-encoding: chunked")],
    "a break in a name": [(b"x-a: b\r\n\r\n" + SECOND, b"c")],
    "a NUL": [(b"x-a", b"b\0c")],
    "other controls": [(b"x-a", b"\x01\x0b\x0c\x1b\x7f")],
    "no name": [(b"", b"chunked")],
    "a bare colon": [(b":", b"chunked")],
    "a pseudo header": [(b":status", b"200")],
    "bytes above ASCII": [(b"x-\xff", b"a"), (b"x-b", b"\xff\x85\xa0")],
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
async def test_a_head_makes_one_response(fields: Headers) -> None:
    for status in STATUSES:
        for method in ("GET", "HEAD"):
            async with (
                a_hub() as hub,
                hostile(hub, (frames.HEAD, 0, head(status, fields)), (frames.DATA, FIN, SECOND)) as provider,
            ):
                wire = await visit(hub, method)
                cut = wire.status == -1 or b"evil" not in wire.written
                if not wire.written:  # nothing of it could be written, and the connection was cut
                    continue
                try:
                    events = read(method, wire.written, cut)
                except h11.RemoteProtocolError as error:
                    assert cut, error  # noqa: PT017 -- a response that is cut is none, and no second one
                    continue
                assert isinstance(events[0], h11.Response), (status, events)
                if not 200 <= status <= 999:
                    assert events[0].status_code == 502
                    await until(lambda provider=provider: provider.closed or provider.goaway)
                else:
                    assert events[0].status_code == status
                names = [name for name, _ in events[0].headers]
                assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
                assert b"upgrade" not in names
                if status == 204:
                    assert b"content-length" not in names


@pytest.mark.parametrize("status", STATUSES)
async def test_a_denial_makes_one_response(status: int) -> None:
    async with a_hub() as hub, hostile(hub, (frames.HEAD, 0, head(status, [])), (frames.DATA, FIN, SECOND)):
        wire = await visit(hub, websocket=True)
        events = read("GET", wire.written, False)
        assert isinstance(events[0], h11.Response)
        assert events[0].status_code == (status if 200 <= status <= 999 else 502)
        body = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
        assert (SECOND in body) == (200 <= status <= 999 and status not in (204, 304))


@pytest.mark.parametrize(
    "answer",
    [
        [(frames.HEAD, 0, head(99, [], accept=1))],
        [(frames.HEAD, 0, head(101, [], accept=2))],
        [(frames.HEAD, 0, head(101, [], accept=1)), (frames.DATA, FIN, b"")],
        [(frames.HEAD, FIN, head(101, [], accept=1))],
    ],
    ids=["no status", "accept of 2", "a body behind it", "an end"],
)
async def test_an_accept_that_is_none_ends_the_link(answer: list[tuple[int, int, bytes]]) -> None:
    async with a_hub() as hub, hostile(hub, *answer) as provider:
        await visit(hub, websocket=True)
        async with asyncio.timeout(5):
            await until(lambda: provider.closed)
        await until(lambda: provider.goaway)


@pytest.mark.parametrize("accept", [0, 1])
async def test_an_upgrade_of_a_request_ends_the_link(accept: int) -> None:
    async with (
        a_hub() as hub,
        hostile(hub, (frames.HEAD, 0, head(101, [], accept=accept)), (frames.DATA, 0, b"raw")) as provider,
    ):
        wire = await visit(hub)
        assert wire.status == 502
        assert b"raw" not in wire.written
        await until(lambda: provider.goaway)


async def test_two_heads_end_the_link() -> None:
    twice = [(frames.HEAD, 0, head(200, [])), (frames.DATA, 0, b"a"), (frames.HEAD, 0, head(200, []))]
    async with a_hub() as hub, hostile(hub, *twice) as provider:
        wire = await visit(hub)
        assert wire.written.count(b"HTTP/1.1") <= 1
        await until(lambda: provider.goaway)


async def test_what_is_said_when_accepting_has_no_length_and_no_handshake_of_its_own() -> None:
    fields = [
        (b"content-length", b"5"),
        (b"sec-websocket-accept", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"x", b"y"),
    ]
    async with a_hub() as hub, hostile(hub, (frames.HEAD, 0, head(101, fields, accept=1))):
        wire = await visit(hub, websocket=True)
        assert wire.status == 101
        assert wire.headers == [(b"x", b"y")]


async def test_other_providers_go_on() -> None:
    async with a_hub() as hub, hostile(hub, (frames.HEAD, 0, head(101, []))):
        well = hub.kernel("k2")
        await well.connect()
        await well.register("dog", echo, access="public")
        await visit(hub)
        assert (await hub.visit("dog/")).status == 200


def test_an_interim_status_has_no_line() -> None:
    for status in (*range(200), 1000):
        with pytest.raises(ValueError, match="not the status of a response"):
            status_line(status)


@pytest.mark.parametrize("status", [100, 103, 200, 404, 999])
async def test_the_status_of_an_accept_is_not_read(status: int) -> None:
    async with a_hub() as hub, hostile(hub, (frames.HEAD, 0, head(status, [], accept=1))):
        wire = await visit(hub, websocket=True)
        assert (wire.status, wire.written) == (101, b"")
