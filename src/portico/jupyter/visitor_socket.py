"""A visitor's WebSocket, over a connection that `portico.jupyter.edge` has taken over from tornado."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable

from portico.hub.answers import Answer
from portico.hub.exchange import SocketResponder, VisitorSocket
from portico.hub.gateway import Admission, Gateway, VisitorRequest
from portico.hub.http1 import TOKEN, status_line
from portico.hub.reply import date
from portico.jupyter.sockets import ServerSocket
from portico.log_text import MOST_PATH, shown
from portico.types import Headers

logger = logging.getLogger(__name__)

_BREAKS = re.compile(rb"[\r\n\0]")


def _nothing() -> None: ...


class SocketVisitor:
    """A visitor's WebSocket; the responder of `portico.hub.exchange.SocketForward`, and the socket's owner."""

    def __init__(
        self, gateway: Gateway, socket: ServerSocket, request: VisitorRequest, access_log: logging.Logger
    ) -> None:
        self._gateway = gateway
        self._access_log = access_log
        self._socket = socket
        self._request = request
        self._forward: VisitorSocket | None = None
        self._opening: asyncio.Task[None] | None = None
        """Waits until a stream can be opened."""
        self._gone = False
        """The visitor left meanwhile."""
        self._started = time.monotonic()

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
        self._opening = asyncio.current_task()
        gateway, request = self._gateway, self._request
        try:
            while self._forward is None and not self._gone:
                self._forward = gateway.forward_socket(request, admission, self, on_done=_nothing)
                if self._forward is None:
                    await gateway.ready(admission.service, request.caller)
        except Answer as answer:
            self.answer(answer)
        except asyncio.CancelledError:
            if not self._gone or self._opening is None:
                raise
            self._opening.uncancel()
        finally:
            self._opening = None

    def begin(self, begin: Callable[[SocketResponder], VisitorSocket]) -> None:
        """*begin* is given this responder, and returns who hears the visitor."""
        self._forward = begin(self)

    def _left(self) -> None:
        if self._forward is not None:
            self._forward.visitor_closed(1006, "")
        elif self._opening is not None:
            self._gone = True
            self._opening.cancel()

    # --- from the app ----------------------------------------------------------------------------------------

    def accept(self, subprotocol: str, headers: Headers) -> None:
        if subprotocol and subprotocol not in self._request.subprotocols:
            logger.warning("an app chose the subprotocol %.100r, which the visitor did not offer", subprotocol)
            self.answer(Answer(500, "app_error", "The app chose a subprotocol that was not offered."))
            self._left()
            return
        self._socket.watch(_nothing)
        self._log(101)
        self._socket.accept(self, subprotocol, headers)

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        self._answer(status, headers, body)

    def answer(self, answer: Answer) -> None:
        headers, body = answer.render(html=False, openai=b"/v1/" in self._request.raw_path)
        self._answer(answer.status, headers, body)

    def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._log(status)
        lines = [status_line(status), b"date: " + date()]
        for name, value in headers:
            if name != b"content-length" and TOKEN.fullmatch(name) and not _BREAKS.search(value):
                lines.append(name + b": " + value)
        lines.append(b"connection: close")
        if status != 204:  # RFC 9110 §8.6
            lines.append(b"content-length: %d" % len(body))
        self._socket.answer(b"\r\n".join(lines) + b"\r\n\r\n", body)

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        return self._socket.send(data, text=text)

    def close(self, code: int, reason: str) -> None:
        self._socket.close(code, reason)

    def cut(self) -> None:
        self._socket.abort()

    # --- from the visitor ------------------------------------------------------------------------------------

    def socket_message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        return self._forward.visitor_message(data, text) if self._forward is not None else None

    def socket_writable(self) -> None: ...

    def socket_closed(self, code: int, reason: str) -> None:
        if self._forward is not None:
            self._forward.visitor_closed(code, reason)

    def _log(self, status: int) -> None:
        level = logging.DEBUG if status < 400 else logging.INFO if status < 500 else logging.WARNING
        path = shown(self._request.target.partition(b"?")[0], MOST_PATH)
        client = shown(self._request.client[0]) if self._request.client else "-"
        milliseconds = (time.monotonic() - self._started) * 1000
        self._access_log.log(level, "%d WebSocket %s (%s) %.2fms", status, path, client, milliseconds)
