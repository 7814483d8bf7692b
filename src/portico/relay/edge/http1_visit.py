"""An answer that goes past ASGI, written to its HTTP/1.1 connection: one write for a head and its body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from portico.hub.answers import Answer
from portico.hub.http1 import ResponseWriter
from portico.hub.visits import BROKEN, COMPLETE, LEFT, Visit
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.past_asgi import OwnLetIn
from portico.types import Headers

logger = logging.getLogger(__name__)


class VisitorConnection(Protocol):
    """What an answer is written to: `portico.relay.edge.http1.VisitorProtocol`."""

    edge: RelayEdge
    transport: asyncio.Transport
    flow: FlowControl

    def answered(self) -> None:
        """The answer is whole."""


class HTTP1Responder:
    """One answer, written to the connection: a `portico.relay.edge.past_asgi.OwnResponder`."""

    __slots__ = (
        "_protocol",
        "_writer",
        "disconnected",
        "keep_alive",
        "leave",
        "let_in",
        "visit",
    )

    def __init__(self, protocol: VisitorConnection, method: str, http_version: str, keep_alive: bool) -> None:
        self._protocol = protocol
        self.keep_alive = keep_alive
        """Whether another request may follow on the connection."""
        self.disconnected = False
        """Whether the visitor's connection is gone."""
        self._writer = ResponseWriter(method, http_version, False)
        self.visit: Visit | None = None
        self.let_in: OwnLetIn | None = None
        self.leave: Callable[[], None] | None = None
        """What `RelayEdge.begin` returned."""

    def left(self) -> None:
        """The visitor's connection is gone."""
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()
            self._over(LEFT)

    def _over(self, how: str) -> None:
        visit, self.visit = self.visit, None
        if visit is not None:
            visit.end(how)

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if self.visit is not None:
            self.visit.answered(status)
        state = self._protocol.edge.state
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
            if self._writer.close or not self.keep_alive:
                protocol.transport.close()
            self._over(COMPLETE)
            protocol.answered()
            return None
        if protocol.flow.write_paused:
            return asyncio.ensure_future(protocol.flow.drain())
        return None

    def answer(self, answer: Answer) -> None:
        visit = self.visit
        assert visit is not None
        headers, body = visit.render(answer)
        headers.append((b"x-request-id", visit.id.encode()))
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        # what was sent arrives; its end does not
        self._over(BROKEN)
        self.keep_alive = False
        self._protocol.transport.close()

    def _broken(self, error: ValueError) -> None:
        """The app broke its own Content-Length, or HTTP."""
        logger.debug("a response could not be written: %s", error)
        self.cut()
        self.left()
