"""The relay's HTTP/1.1 connections: uvicorn's protocol over httptools, made fit for strangers and for speed.

A head that does not come in time ends the connection, and so does a visitor who takes nothing of what waits for it. A
request that needs no waiting goes to its service, and is answered, without ASGI between (`Edge.begin`): no task, no
coroutine, one write for a head and its body. Every other goes the way of ASGI.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from portico.hub.answers import Answer
from portico.hub.gateway import VisitorRequest
from portico.hub.http1 import ResponseWriter
from portico.hub.reply import reply
from portico.types import Headers

if TYPE_CHECKING:
    from portico.relay.relay import Relay

logger = logging.getLogger(__name__)


class VisitorProtocol(HttpToolsProtocol):
    """One connection of a visitor. `for_relay` makes the class that a server is given."""

    relay: Relay

    @classmethod
    def for_relay(cls, relay: Relay) -> type[VisitorProtocol]:
        relay.dates = True  # uvicorn's own would stand beside an app's
        return type("VisitorProtocol", (cls,), {"relay": relay})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._visitor_left: Callable[[], None] | None = None
        self._in_head = True
        """A head is expected, or has come in part."""
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)
        visitor_left, self._visitor_left = self._visitor_left, None
        if visitor_left is not None:
            visitor_left()

    # --- deadlines ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            if self._deadline is None and not self.transport.is_closing():
                self._expect_head()
        elif self._deadline is not None:
            self._forget_deadline()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self.relay.config.header_timeout, self._head_is_late)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # it knows no interim responses (RFC 9110 §15.2)
        super().on_headers_complete()
        # Trailers come by the same way, and must not pass for what was said in the head (RFC 9110 §6.5.1).
        self.headers = [*self.headers]

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.relay.config.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    # --- requests -----------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if app is self.app:
            visitor_left = self.relay.edge.begin(cycle.scope, _Visit(self, cycle))
            if visitor_left is not None:
                if not cycle.response_complete:
                    self._visitor_left = visitor_left
                return
        super()._start_asgi_task(cycle, app)

    def handle_websocket_upgrade(self) -> None:
        self._forget_deadline()
        super().handle_websocket_upgrade()


class _Visit:
    """One answer, written to the connection: a `portico.relay.edge.OwnResponder`."""

    __slots__ = ("_cycle", "_protocol", "_writer", "request")

    def __init__(self, protocol: VisitorProtocol, cycle: Any) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._writer: ResponseWriter | None = None
        self.request: VisitorRequest | None = None

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        cycle = self._cycle
        cycle.response_started = True
        self._protocol.relay.edge.count(status)
        scope = cycle.scope
        writer = self._writer = ResponseWriter(scope["method"], scope["http_version"], not cycle.keep_alive)
        try:
            data = writer.begin(status, headers, body, fin)
        except ValueError as error:
            self._broken(error)
            return None
        return self._send(data, fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        assert self._writer is not None
        try:
            data = self._writer.more(body, fin)
        except ValueError as error:
            self._broken(error)
            return None
        return self._send(data, fin)

    def _send(self, data: bytes, fin: bool) -> asyncio.Future[None] | None:
        protocol, cycle = self._protocol, self._cycle
        if cycle.disconnected:
            return None
        if data:
            protocol.transport.write(data)
        if fin:
            cycle.response_complete = True
            cycle.message_event.set()
            if self._writer is not None and self._writer.close:
                protocol.transport.close()
            protocol._visitor_left = None
            protocol.on_response_complete()
            return None
        if protocol.flow.write_paused:
            return asyncio.ensure_future(protocol.flow.drain())
        return None

    def answer(self, answer: Answer) -> None:
        headers, body = reply(answer, self.request)
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        # what was sent arrives; its end does not
        self._cycle.keep_alive = False
        self._protocol.transport.close()

    def _broken(self, error: ValueError) -> None:
        """The app broke its own Content-Length, or HTTP."""
        logger.debug("a response could not be written: %s", error)
        self.cut()
        visitor_left, self._protocol._visitor_left = self._protocol._visitor_left, None
        if visitor_left is not None:
            visitor_left()
