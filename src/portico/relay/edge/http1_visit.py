"""An answer that goes past ASGI, written to its HTTP/1.1 connection: one write for a head and its body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from portico.hub.answers import Answer
from portico.hub.gateway import VisitorRequest
from portico.hub.http1 import ResponseWriter
from portico.hub.reply import reply
from portico.relay.edge.edge import RelayEdge
from portico.relay.operate.log import new_request_id
from portico.types import Headers

logger = logging.getLogger(__name__)


class VisitorConnection(Protocol):
    """What an answer is written to: `portico.relay.edge.http1.VisitorProtocol`."""

    edge: RelayEdge
    transport: asyncio.Transport
    flow: FlowControl
    visitor_left: Callable[[], None] | None
    """Called when the visitor's connection is gone."""

    def on_response_complete(self) -> None:
        """The answer is whole."""


class _Nobody:
    """Takes the place of an event for which nobody waits."""

    def set(self) -> None: ...


class HTTP1Responder:
    """One answer, written to the connection: a `portico.relay.edge.past_asgi.OwnResponder`.

    To uvicorn it is the request that is under way (its ``RequestResponseCycle``).
    """

    __slots__ = (
        "_protocol",
        "_request_id",
        "_status",
        "_writer",
        "disconnected",
        "keep_alive",
        "leave",
        "request",
        "response_complete",
        "response_started",
        "since",
        "workspace",
    )

    more_body = False
    """There is no body: requests that have one go by ASGI."""

    message_event = _Nobody()
    """Nobody waits for more of the request."""

    def __init__(self, protocol: VisitorConnection, method: str, http_version: str, keep_alive: bool) -> None:
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.disconnected = self.response_started = self.response_complete = False
        self._writer = ResponseWriter(method, http_version, False)
        self._status = 0
        self._request_id = ""
        self.since = monotonic()
        self.request: VisitorRequest | None = None
        self.workspace = ""
        self.leave: Callable[[], None] | None = None
        """What `RelayEdge.begin` returned."""

    def left(self) -> None:
        """The visitor's connection is gone."""
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()
            self._over(True)

    def _over(self, left: bool) -> None:
        request = self.request
        if request is not None:
            self.request = None
            self._protocol.edge.ends.over(
                request, self._status, self.since, self.workspace, self._request_id, left=left
            )

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        self.response_started = True
        self._status = status
        state = self._protocol.edge.state
        state.counters.count(status)
        self._writer.close = not self.keep_alive or state.leaving
        try:
            data = self._writer.begin(status, headers, body, fin)
        except ValueError as error:
            self._broken(error)
            return None
        return self._send(data, fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        try:
            data = self._writer.more(body, fin)
        except ValueError as error:
            self._broken(error)
            return None
        return self._send(data, fin)

    def _send(self, data: bytes, fin: bool) -> asyncio.Future[None] | None:
        if self.disconnected:
            return None
        protocol = self._protocol
        if data:
            protocol.transport.write(data)
        if fin:
            self.response_complete = True
            if self._writer.close or not self.keep_alive:
                protocol.transport.close()
            protocol.visitor_left = None
            if self.request is not None:
                self._over(False)
            protocol.on_response_complete()
            return None
        if protocol.flow.write_paused:
            return asyncio.ensure_future(protocol.flow.drain())
        return None

    def answer(self, answer: Answer) -> None:
        self._protocol.edge.state.counters.answer(answer.code)
        headers, body = reply(answer, self.request)
        self._request_id = new_request_id()
        headers.append((b"x-request-id", self._request_id.encode()))
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        # what was sent arrives; its end does not
        self._over(False)
        self.keep_alive = False
        self._protocol.transport.close()

    def _broken(self, error: ValueError) -> None:
        """The app broke its own Content-Length, or HTTP."""
        logger.debug("a response could not be written: %s", error)
        self.cut()
        visitor_left, self._protocol.visitor_left = self._protocol.visitor_left, None
        if visitor_left is not None:
            visitor_left()
