"""One visitor's WebSocket by ASGI: what its app sends is written from the link's callbacks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from portico.hub.answers import Answer, restarting
from portico.hub.date_and_server import date
from portico.hub.responders import VisitorSocket
from portico.hub.visits import BROKEN, COMPLETE, LEFT, Visit
from portico.relay.edge.asgi_http import HIGHEST_STATUS, unwritable
from portico.relay.edge.driving import drive
from portico.relay.edge.past_asgi import OwnSocket
from portico.relay.state import RelayState
from portico.types import Headers, Receive, Send

logger = logging.getLogger(__name__)


class ASGISocket:
    """The responder of `portico.hub.socket_forward.SocketForward`, and of `portico.hub.models.socket.ModelsSocket`."""

    def __init__(self, state: RelayState, visit: Visit, send: Send, own: OwnSocket | None) -> None:
        self._state = state
        self.visit = visit
        self._send = send
        self._own = own
        self._task = asyncio.current_task()
        self._cut = False
        self._sending: asyncio.Future[None] | None = None
        self._forward: VisitorSocket | None = None

    async def read(self, forward: VisitorSocket, receive: Receive) -> None:
        """Pass on what the visitor sends, until it or the app closes."""
        self._forward = forward
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.receive":
                    text = message.get("text")
                    data = message.get("bytes") if text is None else text.encode()
                    wait = forward.visitor_message(data or b"", text is not None)
                    if wait is not None:
                        await wait
                else:
                    code, reason = message.get("code", 1006), message.get("reason")
                    if code == 1005 and reason is None:
                        code = 1006  # uvicorn's word for a connection that ended without a close frame
                    forward.visitor_closed(code, reason or "")
                    self.visit.end(LEFT if code == 1006 else COMPLETE)
                    return
        except asyncio.CancelledError:
            forward.visitor_closed(1006, "")
            if not self._cut or self._task is None:
                raise
            self._task.uncancel()

    def accept(self, subprotocol: str, headers: Headers) -> None:
        if subprotocol and subprotocol not in self.visit.request.subprotocols:
            logger.warning("an app chose the subprotocol %.100r, which the visitor did not offer", subprotocol)
            self.answer(Answer(500, "app_error", "The app chose a subprotocol that was not offered."))
            if self._forward is not None:
                self._forward.visitor_closed(1006, "")
            return
        self.visit.answered(101)
        if self._state.dates and not any(name == b"date" for name, _ in headers):
            headers.append((b"date", date()))
        self._drive({"type": "websocket.accept", "subprotocol": subprotocol or None, "headers": headers})

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        if status > HIGHEST_STATUS:
            self.answer(unwritable(status))
            return
        self.visit.answered(status)
        kept = [pair for pair in headers if pair[0] != b"content-length"]  # the server says the length by itself
        self._drive({"type": "websocket.http.response.start", "status": status, "headers": kept})
        self._drive({"type": "websocket.http.response.body", "body": body})
        self.visit.end(COMPLETE)

    def answer(self, answer: Answer) -> None:
        headers, body = self.visit.render(answer)
        headers.append((b"x-request-id", self.visit.id.encode()))
        self.deny(answer.status, headers, body)

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        before = self._sending
        if (
            self._own is not None
            and (before is None or before.done())
            and (not text or _is_utf8(data))
            and self._own.say(data, text=text)
        ):
            return None
        if text:
            return self._drive({"type": "websocket.send", "text": data.decode("utf-8", "replace")})
        return self._drive({"type": "websocket.send", "bytes": data})

    def close(self, code: int, reason: str) -> None:
        self.visit.end(COMPLETE)
        if code == 1005:
            self._drive({"type": "websocket.close", "code": 1000})
        elif _may_be_sent(code):
            self._drive(
                {"type": "websocket.close", "code": code, "reason": reason.encode()[:123].decode("utf-8", "ignore")}
            )
        else:
            self._drive({"type": "websocket.close", "code": 1011, "reason": "the app closed with an invalid code"})

    def cut(self) -> None:
        if not self._cut and self._task is not None:
            self._cut = True
            self.visit.end(BROKEN)
            self._task.cancel()

    def leave(self) -> None:
        """The relay stops: the visitor is told to come again, and the app that it went."""
        if self.visit.status == 101:
            self.close(1012, "the server is restarting")  # the app hears of it as of a visitor's own closing
        elif self.visit.status == 0 and self._forward is not None:
            self.answer(restarting())
            self._forward.visitor_closed(1006, "")

    def _drive(self, message: dict[str, Any]) -> asyncio.Future[None] | None:
        before = self._sending
        if before is not None and not before.done():
            self._sending = asyncio.ensure_future(self._after(before, message))
            return self._sending
        try:
            self._sending = drive(self._one(message))
        except Exception as error:  # noqa: BLE001 -- the visitor left
            logger.debug("a WebSocket message could not be written: %s", error)
            return None
        return self._sending

    async def _one(self, message: dict[str, Any]) -> None:
        await self._send(message)

    async def _after(self, before: asyncio.Future[None], message: dict[str, Any]) -> None:
        await asyncio.wait((before,))
        await self._send(message)


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _may_be_sent(code: int) -> bool:
    """Whether a close frame may hold *code* (RFC 6455 §7.4)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))
