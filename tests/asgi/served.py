"""An app at one end of a link over the in-memory pair, and its visitors at the other: nothing is a stand-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from portico.asgi.http import HTTPExchange
from portico.asgi.websocket import WebSocketExchange
from portico.link import Stream, StreamHandler
from portico.protocol import Kind, ResetCode
from portico.protocol.events import Data, Open
from portico.types import ASGIApp, Headers
from tests.link_pair import Owner, Side, World, open_stream
from tests.transports.recorder import run
from tests.waiting import until

KIB = 1024
WINDOW = 256 * KIB
"""What a stream may hold unread at first."""


class Visitor(Owner):
    """A visitor's end of a stream; keeps a WebSocket's messages apart."""

    def __init__(self, *, consume: bool = True) -> None:
        super().__init__(consume=consume)
        self.messages: list[str | bytes] = []
        self._message = b""

    def on_data(self, data: Data) -> None:
        self._message += data.data
        if data.message_end:
            self.messages.append(self._message.decode() if data.text else self._message)
            self._message = b""
        super().on_data(data)

    def take(self) -> None:
        """Consume what was left unconsumed, and what comes from now on."""
        self.consume = True
        self.stream.consumed(self.unconsumed)
        self.unconsumed = 0


class AppSide(Side):
    """The provider's handler: calls the app for each stream."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__()
        self.app = app
        self.options = options
        self.exchanges: list[HTTPExchange | WebSocketExchange] = []
        self.ended = 0
        self.reports: list[tuple[str, BaseException]] = []

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        kind = WebSocketExchange if request.kind == Kind.WEBSOCKET else HTTPExchange
        exchange = kind(
            stream, request, self.app, state={}, report=self._report, finished=self._finished, **self.options
        )
        self.exchanges.append(exchange)
        exchange.start()
        return exchange

    def _report(self, doing: str, error: BaseException) -> None:
        self.reports.append((doing, error))

    def _finished(self, exchange: object) -> None:
        self.ended += 1


class Served(World):
    """A hub, and a provider that serves *app*. ``options`` go to every exchange."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__()
        self.apps = AppSide(app, **options)
        self.provider_side = self.provider.handler = self.apps

    def visit(
        self,
        path: bytes = b"/",
        *,
        kind: Kind = Kind.HTTP,
        method: str = "GET",
        headers: Headers | None = None,
        body: bytes | None = b"",
        consume: bool = True,
        root_path: str = "/portico/apps/cat",
        identity: bytes = b"{}",
    ) -> Visitor:
        """Open a stream; *body* None leaves the upload open."""
        raw_path, _, query = path.partition(b"?")
        websocket = kind == Kind.WEBSOCKET
        visitor = open_stream(
            self.hub,
            Visitor(consume=consume),
            kind=kind,
            method=method,
            raw_path=raw_path,
            query=query,
            root_path=root_path,
            client=("203.0.113.7", 4711),
            server=("hub.example", 80),
            headers=headers or [],
            identity=identity,
            fin=body == b"" and not websocket,
        )
        if body and not websocket:
            visitor.stream.send_data(body, fin=True)
        return visitor

    def connect(self, path: bytes = b"/", **asked: Any) -> Visitor:
        """Open a WebSocket stream."""
        return self.visit(path, kind=Kind.WEBSOCKET, **asked)

    def leave(self, visitor: Visitor) -> None:
        visitor.stream.reset(ResetCode.CANCEL, "the visitor left")

    async def over(self, count: int = 1) -> None:
        """*count* calls of the app have ended."""
        await until(lambda: self.apps.ended == count)

    async def whole(self, visitor: Visitor) -> Visitor:
        """The response has come to its end."""
        await until(lambda: visitor.fin or visitor.resets)
        assert not visitor.resets, visitor.resets
        return visitor


def serving(app: ASGIApp, work: Callable[[Served], Awaitable[None]], **options: Any) -> Served:
    """Serve *app*, do *work*, and check that nothing is left of any stream. Returns what became of it."""

    async def start() -> Served:
        served = Served(app, **options)
        await served.start()
        await work(served)
        await served.over(len(served.apps.exchanges))
        await served.end()
        for link in (served.hub, served.provider):
            assert link.connection.streams == link.connection.held == 0
            assert link.streams == {}
        return served

    kept: list[Served] = []

    async def keep() -> None:
        kept.append(await start())

    run(keep)
    return kept[0]
