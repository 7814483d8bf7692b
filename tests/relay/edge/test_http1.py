"""An answer that goes past ASGI, of which uvicorn does not know: what is behind it waits, and what ends ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from portico.hub.request import VisitorRequest
from portico.hub.visits import Visit
from portico.relay.config import RelayConfig
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.http1 import VisitorProtocol
from portico.relay.edge.past_asgi import OwnResponder
from portico.relay.edge.routes import Location
from portico.relay.edge.websocket import SocketProtocol
from portico.relay.relay import Relay
from tests.relay.edge.front_door import MemoryTransport

GET = b"GET /alice/apps/cat/%b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
POST = b"POST /alice/apps/cat/posted HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: 5\r\n\r\nhello"


class HeldEdge(RelayEdge):
    """Takes every request past ASGI, and leaves its answer to the test."""

    taken: list[OwnResponder]
    left: int = 0

    def begin(self, responder: OwnResponder, request: VisitorRequest, location: Location) -> Callable[[], None]:
        responder.visit = Visit(self.state.visits, request, location.workspace)
        self.taken.append(responder)
        return self._leave

    def _leave(self) -> None:
        self.left += 1


class Connection:
    """One connection of a visitor to a relay, and what became of it."""

    def __init__(self, relay: Relay) -> None:
        self.edge = HeldEdge(relay.state)
        self.edge.taken = []
        self.by_asgi: list[str] = []
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http=VisitorProtocol.for_edge(self.edge),
            ws=SocketProtocol.for_edge(self.edge),
            log_config=None,
            lifespan="off",
            date_header=False,
            server_header=False,
        )
        config.load()
        self.protocol: Any = config.http_protocol_class(config=config, server_state=ServerState(), app_state={})  # type: ignore[operator]
        self.transport = MemoryTransport()
        self.transport.set_protocol(self.protocol)
        self.protocol.connection_made(self.transport)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.by_asgi.append(scope["path"])
        body = (await receive())["body"]
        length = b"%d" % len(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    async def come(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.protocol.data_received(piece)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(8):  # each step of the app takes one turn of the loop
            await asyncio.sleep(0)

    def answer(self, body: bytes, number: int = -1) -> None:
        self.edge.taken[number].respond(200, [(b"content-length", b"%d" % len(body))], body, True)

    @property
    def bodies(self) -> list[bytes]:
        return [part[:5] for part in bytes(self.transport.written).split(b"\r\n\r\n")[1:]]


def with_connection(work: Callable[[Connection], Awaitable[None]]) -> None:
    async def main() -> None:
        relay = Relay(RelayConfig(paths=True, data_dir=":memory:"))
        await relay.start()
        connection = Connection(relay)
        try:
            await work(connection)
        finally:
            if connection.protocol.parser is not None:
                connection.protocol.connection_lost(None)
            await connection.settle()
            await relay.stop()

    asyncio.run(main())


@pytest.mark.parametrize("behind", [(POST,), (POST, GET % b"more"), (GET % b"more", POST), (GET % b"more" + POST,)])
def test_what_is_behind_it_waits_and_comes_in_order(behind: tuple[bytes, ...]) -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first", *behind)
        assert len(connection.edge.taken) == 1
        assert connection.by_asgi == []
        assert connection.transport.written == b""
        connection.answer(b"first")
        await connection.settle()
        paths = [path for piece in behind for path in ("more", "posted") if path.encode() in piece]
        assert connection.by_asgi == [f"/alice/apps/cat/{path}" for path in paths]
        assert connection.bodies[0] == b"first"
        assert connection.bodies.count(b"hello") == 1
        await connection.come(GET % b"last")
        connection.answer(b"xlast")
        assert connection.bodies[-1] == b"xlast"

    with_connection(work)


def test_a_server_that_stops_lets_it_end_and_closes_then() -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first")
        connection.protocol.shutdown()
        assert not connection.transport.closing
        connection.answer(b"first")
        assert connection.bodies == [b"first"]
        assert b"connection: close" in connection.transport.written
        assert connection.transport.closing

    with_connection(work)


def test_a_server_that_stops_closes_between_two() -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first")
        connection.answer(b"first")
        assert not connection.transport.closing
        connection.protocol.shutdown()
        assert connection.transport.closing

    with_connection(work)


@pytest.mark.parametrize(
    "broken", [b"nonsense\r\n\r\n", POST.replace(b"5", b"-5"), GET.replace(b"Host", b"Hose") % b"x"]
)
def test_what_cannot_be_read_behind_it_leaves_it_whole(broken: bytes) -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first", broken)
        assert not connection.transport.closing
        connection.answer(b"first")
        assert connection.bodies == [b"first"]
        assert connection.transport.closing
        assert b"400" not in connection.transport.written

    with_connection(work)


@pytest.mark.parametrize("behind", [b"", POST])
def test_a_visitor_who_leaves_is_told_once_and_answered_no_more(behind: bytes) -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first" + behind)
        connection.protocol.connection_lost(ConnectionResetError())
        assert connection.edge.left == 1
        connection.answer(b"first")
        assert connection.transport.written == b""
        assert connection.by_asgi == []

    with_connection(work)


def test_one_that_is_whole_is_not_left() -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first")
        connection.answer(b"first")
        connection.protocol.connection_lost(None)
        assert connection.edge.left == 0

    with_connection(work)


def test_an_app_that_breaks_its_own_length_is_left_and_cut() -> None:
    async def work(connection: Connection) -> None:
        await connection.come(GET % b"first")
        connection.edge.taken[-1].respond(200, [(b"content-length", b"1")], b"first", True)
        assert connection.edge.left == 1
        assert connection.transport.closing

    with_connection(work)
