"""The relay's front door without a network, and h11 as a second reader of the same bytes: for differential tests.

The front door is the real `VisitorProtocol` over a transport that keeps what is written. What it takes as requests
is recorded where it hands them on: to the edge, or to the ASGI app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h11
import uvicorn
from uvicorn.server import ServerState

from portico.relay.config import RelayConfig
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.http1 import VisitorProtocol
from portico.relay.edge.websocket import SocketProtocol
from portico.relay.relay import Relay


@dataclass
class Taken:
    """A request as a reader takes it."""

    method: str
    target: str
    body: bytes = b""
    whole: bool = False
    """Whether its end has come."""


@dataclass
class Reading:
    """What one reader makes of a connection's bytes."""

    taken: list[Taken] = field(default_factory=list)
    written: bytes = b""
    closed: bool = False
    socket: bool = False
    """Whether it has become a WebSocket."""

    def line(self) -> str:
        """The status line of the first answer."""
        return self.written.partition(b"\r\n")[0].decode()


class MemoryTransport(asyncio.Transport):
    """A connection's server end; nobody is at the other one."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.9", 9), "sockname": ("127.0.0.1", 8000)})
        self.written = bytearray()
        self.protocol: asyncio.BaseProtocol | None = None
        self.closing = False

    def write(self, data: Any) -> None:
        if not self.closing:
            self.written += data

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class FrontDoor:
    """Reads connections as the relay does. Made by `started`, in a running loop."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._reading = Reading()
        door = self

        class SeenEdge(RelayEdge):
            def begin(self, responder: Any, request: Any, location: Any) -> Callable[[], None] | None:
                leave = super().begin(responder, request, location)
                if leave is not None:
                    target = request.target.decode("latin-1")
                    door._reading.taken.append(Taken(request.method, target, whole=True))
                return leave

        edge = SeenEdge(relay.state)
        self._config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http=VisitorProtocol.for_edge(edge),
            ws=SocketProtocol.for_edge(edge),
            proxy_headers=False,
            log_config=None,
            lifespan="off",
            access_log=False,
            date_header=False,
            server_header=False,
        )
        self._config.load()

    @classmethod
    async def started(cls) -> FrontDoor:
        relay = Relay(RelayConfig(paths=True, data_dir=":memory:"))
        await relay.start()
        return cls(relay)

    async def stop(self) -> None:
        await self._relay.stop()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            self._reading.taken.append(Taken("GET", scope["raw_path"].decode("latin-1"), whole=True))
            await send({"type": "websocket.close"})
            return
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        taken = Taken(scope["method"], target.decode("latin-1"))
        self._reading.taken.append(taken)
        while not taken.whole and (message := await receive())["type"] == "http.request":
            taken.body += message["body"]
            taken.whole = not message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def read(self, pieces: Iterable[bytes], *, at_once: bool = False) -> Reading:
        """What it takes of a connection on which *pieces* come; *at_once*: before anything was answered."""
        reading = self._reading = Reading()
        state = ServerState()
        make: Any = self._config.http_protocol_class
        protocol: Any = make(config=self._config, server_state=state, app_state={})
        transport = MemoryTransport()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for piece in pieces:
            if transport.closing or transport.protocol is not protocol:
                break
            protocol.data_received(piece)
            if not at_once:
                await _settled(state)
        await _settled(state)
        reading.socket = transport.protocol is not protocol
        reading.closed = transport.closing or bool(getattr(protocol, "_deaf", False))
        reading.written = bytes(transport.written)
        left: Any = transport.protocol
        left.connection_lost(None)
        for _ in range(20):
            if not state.tasks:
                break
            await asyncio.sleep(0)
        return reading


async def _settled(state: ServerState) -> None:
    """Let the app's tasks go on until they wait for more: each of their steps takes one turn of the loop."""
    for _ in range(6 if state.tasks else 1):
        await asyncio.sleep(0)


def by_h11(data: bytes) -> list[Taken]:
    """The requests that h11 reads, each of which is answered with 200 before the next."""
    taken: list[Taken] = []
    while data:
        # h11 takes no empty line before a request; RFC 9112 §2.2 asks servers to pass over one
        data = data.removeprefix(b"\r\n")
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            reader.receive_data(data)
            while not isinstance(event := reader.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    taken.append(Taken(event.method.decode(), event.target.decode("latin-1")))
                elif isinstance(event, h11.Data):
                    taken[-1].body += event.data
                else:
                    return taken
            taken[-1].whole = True
            reader.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            reader.send(h11.EndOfMessage())
        except h11.ProtocolError:
            return taken
        if reader.our_state is not h11.DONE:
            return taken
        data = reader.trailing_data[0]
    return taken
