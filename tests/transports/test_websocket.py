"""The WebSocket transport against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import http
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from portico.errors import LinkClosed, Refused
from portico.protocol import SUBPROTOCOL
from portico.transports.websocket import WebSocketTransport, dial
from tests.waiting import until

from .recorder import Recorder, run

MAX_SIZE = 256 * 1024


@contextlib.asynccontextmanager
async def serving(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> AsyncIterator[str]:
    """A server that runs *handler* for each connection; gives its URL."""
    options = {"subprotocols": [SUBPROTOCOL], "compression": None, "max_size": None} | options
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/portico/link"


async def dialled(url: str) -> tuple[WebSocketTransport, Recorder]:
    transport = await dial(url, subprotocol=SUBPROTOCOL, max_size=MAX_SIZE)
    recorder = Recorder()
    transport.start(recorder)
    return transport, recorder


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def answering(status: int, headers: dict[str, str] | None = None) -> Callable[[ServerConnection, Request], Response]:
    def answer(connection: ServerConnection, request: Request) -> Response:
        return Response(status, http.HTTPStatus(status).phrase, Headers(headers or {}), b"")

    return answer


def test_messages_go_there_and_back() -> None:
    async def work() -> None:
        async with serving(echo) as url:
            transport, recorder = await dialled(url)
            sent = [bytes([number]) * size for number, size in enumerate((0, 1, 125, 126, 65_535, 65_536, MAX_SIZE))]
            for message in sent:
                transport.send(message)
            await until(lambda: len(recorder.messages) == len(sent))
            assert recorder.messages == sent
            assert all(type(message) is bytes for message in recorder.messages)
            transport.close(1000, "done")
            transport.send(b"too late")
            await until(lambda: recorder.closed)
            assert recorder.closed == ["the connection was closed, code 1000: done"]
            transport.close()
            transport.send(b"too late")

    run(work)


def test_the_upgrade_carries_the_headers_that_were_given() -> None:
    async def work() -> None:
        async def show(connection: ServerConnection) -> None:
            assert connection.request is not None
            await connection.send(connection.request.headers["X-Test"].encode())

        async with serving(show) as url:
            transport = await dial(url, subprotocol=SUBPROTOCOL, headers={"X-Test": "here"}, max_size=MAX_SIZE)
            recorder = Recorder()
            transport.start(recorder)
            await until(lambda: recorder.closed)
            assert recorder.messages == [b"here"]

    run(work)


def test_what_came_before_the_start_is_delivered() -> None:
    async def work() -> None:
        closed = asyncio.Event()

        async def speak_first(connection: ServerConnection) -> None:
            await connection.send(b"first")
            await connection.send(b"second")
            await connection.close(4001, "no")
            closed.set()

        async with serving(speak_first) as url:
            transport = await dial(url, subprotocol=SUBPROTOCOL, max_size=MAX_SIZE)
            await closed.wait()
            recorder = Recorder()
            transport.start(recorder)
            await until(lambda: recorder.closed)
            assert recorder.messages == [b"first", b"second"]
            assert recorder.closed == ["the connection was closed, code 4001: no"]

    run(work)


def test_a_server_that_does_not_read_makes_the_writer_wait() -> None:
    async def work() -> None:
        go_on = asyncio.Event()
        got = 0

        async def slow(connection: ServerConnection) -> None:
            nonlocal got
            await go_on.wait()
            with contextlib.suppress(ConnectionClosed):
                while True:
                    got += len(await connection.recv())

        async with serving(slow, max_queue=1) as url:
            transport, recorder = await dialled(url)
            sent = 0
            for _ in range(1000):  # the kernel's buffers take some first
                while transport.writable and sent < 256 * MAX_SIZE:
                    transport.send(bytes(MAX_SIZE))
                    sent += MAX_SIZE
                await asyncio.sleep(0)
            assert not transport.writable
            assert sent < 64 * MAX_SIZE
            before = recorder.writable
            go_on.set()
            await until(lambda: recorder.writable > before)
            assert transport.writable
            transport.close()
            await until(lambda: recorder.closed)
            assert got == sent, "what was buffered is sent before the close"

    run(work)


def test_fragments_are_one_message() -> None:
    async def work() -> None:
        async def fragmented(connection: ServerConnection) -> None:
            await connection.send([b"a", b"", b"bc", b"d"])
            await connection.send(b"whole")
            await connection.ping()

        async with serving(fragmented) as url:
            _, recorder = await dialled(url)
            await until(lambda: recorder.closed)
            assert recorder.messages == [b"abcd", b"whole"]

    run(work)


def test_text_is_not_taken() -> None:
    async def work() -> None:
        codes = []

        async def speak_text(connection: ServerConnection) -> None:
            await connection.send("text")
            await connection.send(b"binary")
            await connection.wait_closed()
            codes.append(connection.close_code)

        async with serving(speak_text) as url:
            _, recorder = await dialled(url)
            await until(lambda: recorder.closed)
            assert recorder.messages == []
        assert codes == [1003]

    run(work)


def test_a_message_that_is_too_long_closes() -> None:
    async def work() -> None:
        async def speak_long(connection: ServerConnection) -> None:
            await connection.send(bytes(MAX_SIZE + 1))
            await connection.wait_closed()

        async with serving(speak_long) as url:
            _, recorder = await dialled(url)
            await until(lambda: recorder.closed)
            assert recorder.messages == []
            assert "1009" in recorder.closed[0]

    run(work)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_server_that_closes_or_goes_is_told_once(how: str) -> None:
    async def work() -> None:
        async def leave(connection: ServerConnection) -> None:
            await connection.recv()
            if how == "close":
                await connection.close(1012, "restarting")
            else:
                connection.transport.abort()

        async with serving(leave) as url:
            transport, recorder = await dialled(url)
            transport.send(b"go")
            await until(lambda: recorder.closed)
            transport.send(b"into the void")
            transport.close()
            if how == "close":
                assert recorder.closed == ["the connection was closed, code 1012: restarting"]
            else:
                assert len(recorder.closed) == 1
                assert "without a word" in recorder.closed[0] or "broke" in recorder.closed[0]

    run(work)


def test_sending_between_the_servers_close_and_the_end_does_nothing() -> None:
    async def work() -> None:
        """The server has sent a close frame and leaves TCP open; we answer, and give up waiting soon."""
        accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

        async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            key = re.findall(r"(?i)sec-websocket-key: (\S+)", head)[0]
            writer.write(
                f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(key)}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
                # with the very answer, so that they come before anybody reads
                + b"\x82\x05early"
                + b"\x88\x02\x03\xe8"
            )
            await accepted.put((reader, writer))

        server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport, recorder = await dialled(f"ws://127.0.0.1:{port}/")
            reader, writer = await accepted.get()
            transport.send(b"too late")
            await until(lambda: recorder.closed)
            assert recorder.messages == [b"early"]
            with contextlib.suppress(ConnectionError):
                assert len(await reader.read()) == 8, "our close frame and nothing else"
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    run(work)


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "token was not accepted"), (403, "may not publish"), (404, "no hub lives"), (405, "no hub")],
)
def test_a_no_of_the_server_is_refused(status: int, said: str) -> None:
    async def work() -> None:
        async with serving(echo, process_request=answering(status)) as url:
            with pytest.raises(Refused, match=said):
                await dialled(url)

    run(work)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_servers_trouble_is_worth_another_try(status: int) -> None:
    async def work() -> None:
        async with serving(echo, process_request=answering(status)) as url:
            with pytest.raises(LinkClosed, match=str(status)):
                await dialled(url)

    run(work)


def test_no_redirect_is_followed() -> None:
    async def work() -> None:
        callers = []

        async def elsewhere(connection: ServerConnection) -> None:
            callers.append(connection)

        async with (
            serving(elsewhere) as other,
            serving(echo, process_request=answering(307, {"Location": other})) as url,
        ):
            with pytest.raises(Refused, match="redirects to"):
                await dialled(url)
        assert callers == []

    run(work)


def test_a_websocket_that_is_no_link_is_refused() -> None:
    async def work() -> None:
        async with serving(echo, subprotocols=None) as url:
            with pytest.raises(Refused, match="does not speak"):
                await dialled(url)

    run(work)


def test_a_server_that_cannot_be_reached_is_a_closed_link() -> None:
    async def work() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, and not listening
            with pytest.raises(LinkClosed, match="cannot be reached"):
                await dialled(f"ws://127.0.0.1:{taken.getsockname()[1]}/")

    run(work)


def test_a_server_that_speaks_something_else_is_a_closed_link() -> None:
    async def work() -> None:
        async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"220 smtp.example.com ESMTP\r\n")
            writer.close()

        server = await asyncio.start_server(mumble, "127.0.0.1", 0)
        async with server:
            with pytest.raises(LinkClosed):
                await dialled(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    run(work)


@pytest.mark.parametrize("url", ["http://example.com/", "ws://", "nonsense", "ws://a..b/"])
def test_an_url_that_is_none_is_refused(url: str) -> None:
    async def work() -> None:
        with pytest.raises(Refused, match="no WebSocket URL"):
            await dialled(url)

    run(work)


def test_wss_needs_no_settings() -> None:
    async def work() -> None:
        async with serving(echo) as url:  # it speaks no TLS, so the handshake fails, but it is tried
            with pytest.raises(LinkClosed, match="cannot be reached"):
                await dialled(url.replace("ws://", "wss://"))

    run(work)
