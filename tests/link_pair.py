"""Both ends of one link over the in-memory pair, and handlers that write down what they are told.

Here: what the link is tested with, and apps at its one end, in Pyodide too. So this knows nothing of a hub, which needs
packages that are not there: a test that wants one takes `tests.in_process`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from portico.errors import LinkClosed
from portico.link import Link, Stream, StreamHandler
from portico.protocol import Connection, Kind, Limits, ResetCode, Role
from portico.protocol.events import Data, Head, Hello, LinkEvent, Open, Welcome
from portico.transports.memory import MemoryTransport
from tests.transports.recorder import run
from tests.waiting import until

AnyOwner = TypeVar("AnyOwner", bound="Owner")


class Owner:
    """A stream's handler that writes down what it is told."""

    stream: Stream

    def __init__(self, *, consume: bool = True) -> None:
        self.consume = consume
        self.head: Head | None = None
        self.body = b""
        self.pieces = 0
        self.fin = False
        self.unconsumed = 0
        self.closed: tuple[int, str] | None = None
        self.resets: list[tuple[ResetCode, str]] = []
        self.writable = 0

    def on_head(self, head: Head) -> None:
        self.head = head
        self.fin = head.fin

    def on_data(self, data: Data) -> None:
        self.body += data.data
        self.pieces += 1
        self.fin = data.fin
        if self.consume:
            self.stream.consumed(len(data.data))
        else:
            self.unconsumed += len(data.data)

    def on_close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self.resets.append((code, reason))

    def on_writable(self) -> None:
        self.writable += 1


class Side:
    """A link's handler that writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[LinkEvent] = []
        self.closed: list[LinkClosed] = []
        self.opened: dict[int, Owner] = {}
        self.requests: list[Open] = []
        self.make: Callable[[Stream, Open], Owner] = lambda stream, request: Owner()

    def on_event(self, link: Link, event: LinkEvent) -> None:
        self.events.append(event)
        if isinstance(event, Hello):
            link.connection.send_welcome(Welcome(base_url="http://hub.test/"))
            link.flush_soon()

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        self.requests.append(request)
        owner = self.opened[request.stream_id] = self.make(stream, request)
        owner.stream = stream
        return owner

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        self.closed.append(reason)


class Sent(MemoryTransport):
    """Notes the messages that go out."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.log.append(message)
        super().send(message)


def open_stream(link: Link, owner: AnyOwner, **request: Any) -> AnyOwner:
    """Open a stream from the hub's end of *link*, as a gateway does for a GET of ``/``, but for what *request* says."""
    usual: dict[str, Any] = {
        "kind": Kind.HTTP,
        "service": "cat",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "raw_path": b"/",
        "query": b"",
        "root_path": "",
        "client": None,
        "server": None,
        "headers": [],
        "fin": True,
        "now": link.time(),
    }
    owner.stream = link.adopt(link.connection.open_stream(**(usual | request)), owner)
    return owner


class World:
    """Both ends of one link. No hub stands behind the one, and no `Provider` behind the other."""

    def __init__(self, limits: Limits | None = None) -> None:
        now = asyncio.get_running_loop().time()
        left, right = Sent(), Sent()
        left._peer, right._peer = right, left
        self.hub_side, self.provider_side = Side(), Side()
        self.hub = Link(Connection(Role.HUB, limits, now=now), left, self.hub_side)
        self.provider = Link(Connection(Role.PROVIDER, limits, now=now), right, self.provider_side)
        self.hub_sent, self.provider_sent = left, right

    async def start(self) -> World:
        self.provider.connection.send_hello(Hello(token="t", session="0" * 32, epoch=0))
        self.hub.start()
        self.provider.start()
        await until(lambda: self.provider.connection.ready)
        return self

    def open(self, *, kind: Kind = Kind.HTTP, fin: bool = True, consume: bool = True) -> Owner:
        return open_stream(self.hub, Owner(consume=consume), kind=kind, fin=fin)

    async def opened(self, owner: Owner) -> Owner:
        """The provider's end of the stream of *owner*."""
        await until(lambda: owner.stream.id in self.provider_side.opened)
        return self.provider_side.opened[owner.stream.id]

    async def end(self) -> None:
        self.hub.close()
        await until(lambda: self.hub_side.closed and self.provider_side.closed)


def linked(work: Callable[[World], Awaitable[None]], limits: Limits | None = None) -> None:
    async def start() -> None:
        world = await World(limits).start()
        await work(world)
        await world.end()
        for link in (world.hub, world.provider):
            assert link.connection.streams == link.connection.held == 0
            assert link.streams == {}
        assert len(world.hub_side.closed) == len(world.provider_side.closed) == 1

    run(start)
