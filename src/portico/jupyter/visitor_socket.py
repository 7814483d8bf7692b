"""A visitor's WebSocket, over a connection that `portico.jupyter.edge` has taken over from tornado."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

from portico.hub.answers import Answer
from portico.hub.date_and_server import date
from portico.hub.forward import Admission
from portico.hub.gateway import Gateway
from portico.hub.http1 import TOKEN, status_line
from portico.hub.responders import SocketResponder, VisitorSocket
from portico.hub.socket_forward import SocketForward
from portico.hub.visits import BROKEN, COMPLETE, LEFT, Visit
from portico.jupyter.sockets import ServerSocket
from portico.types import Headers

logger = logging.getLogger(__name__)

_BREAKS = re.compile(rb"[\r\n\0]")


def _nothing() -> None: ...


class SocketVisitor:
    """A visitor's WebSocket; the responder of `portico.hub.socket_forward.SocketForward`, and the socket's owner."""

    def __init__(self, gateway: Gateway, socket: ServerSocket, visit: Visit) -> None:
        self._gateway = gateway
        self._socket = socket
        self._visit = visit
        self._forward: VisitorSocket | None = None

    def is_valid(self) -> bool:
        """Whether it is a WebSocket's handshake. If not, that is answered; if it is, the visitor's end is heard of."""
        refusal = self._socket.refusal()
        if refusal is not None:
            self.answer(Answer(refusal[0], "bad_handshake", refusal[1]))
            return False
        self._socket.watch(self._left)
        return True

    async def open(self, admission: Admission) -> None:
        """Open a stream to the service: where its provider has lost its link, once that is back."""
        self._forward = forward = SocketForward(self._visit, self, admission=admission)
        try:
            if not self._gateway.open_now(forward):
                await self._gateway.open(forward)
        except Answer as answer:
            if not forward.over:
                self.answer(answer)

    def begin(self, begin: Callable[[SocketResponder], VisitorSocket]) -> None:
        """*begin* is given this responder, and returns who hears the visitor."""
        self._forward = begin(self)

    def _left(self) -> None:
        if self._forward is not None:
            self._forward.visitor_closed(1006, "")
        self._visit.end(LEFT)

    # --- from the app ----------------------------------------------------------------------------------------

    def accept(self, subprotocol: str, headers: Headers) -> None:
        if subprotocol and subprotocol not in self._visit.request.subprotocols:
            logger.warning("an app chose the subprotocol %.100r, which the visitor did not offer", subprotocol)
            self.answer(Answer(500, "app_error", "The app chose a subprotocol that was not offered."))
            self._left()
            return
        self._socket.watch(_nothing)
        self._visit.answered(101)
        self._socket.accept(self, subprotocol, headers)

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        self._answer(status, headers, body)

    def answer(self, answer: Answer) -> None:
        headers, body = self._visit.render(answer)
        self._answer(answer.status, headers, body)

    def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._visit.answered(status)
        lines = [status_line(status), b"date: " + date()]
        for name, value in headers:
            if name != b"content-length" and TOKEN.fullmatch(name) and not _BREAKS.search(value):
                lines.append(name + b": " + value)
        lines.append(b"connection: close")
        if status != 204:  # RFC 9110 §8.6
            lines.append(b"content-length: %d" % len(body))
        self._socket.answer(b"\r\n".join(lines) + b"\r\n\r\n", body)
        self._visit.end(COMPLETE)

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        return self._socket.send(data, text=text)

    def close(self, code: int, reason: str) -> None:
        self._socket.close(code, reason)
        self._visit.end(COMPLETE)

    def cut(self) -> None:
        self._socket.abort()
        self._visit.end(BROKEN)

    # --- from the visitor ------------------------------------------------------------------------------------

    def socket_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        return self._forward.visitor_message(data, text) if self._forward is not None else None

    def socket_writable(self) -> None: ...

    def socket_closed(self, code: int, reason: str) -> None:
        if self._forward is not None:
            self._forward.visitor_closed(code, reason)
        self._visit.end(LEFT if code == 1006 else COMPLETE)
