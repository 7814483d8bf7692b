"""One visitor's WebSocket: a stream on one side, one call of the app on the other (ASGI 3.0, WebSocket).

The app is asked before the visitor is accepted; a denial may have a status, headers and a body
(``websocket.http.response``). A message is whole by the time the app gets it, and one that is too long closes the
WebSocket (`MAX_MESSAGE`). Messages that the app has not yet asked for hold the sender back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from portico.asgi.carrier import Carrier, Report, app_headers, app_status, base_scope
from portico.asgi.http import CANCEL_AFTER, CANCEL_TOLD_AFTER, YIELD_BYTES, YIELD_SECONDS
from portico.asgi.pausing import Pausing, wait_beside
from portico.calls.endings import is_failure
from portico.calls.owner import REPORTED
from portico.errors import AnsweredWithError, LocalProtocolError, StreamReset
from portico.pieces import Pieces
from portico.protocol.events import Data, Head, Open
from portico.protocol.frames import ResetCode
from portico.types import ASGIApp, Headers, Message

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of the longest message that is taken from a visitor; longer ones close with 1009 (RFC 6455 §7.4.1)."""

NO_STATUS = 1005
ABNORMAL = 1006

# States, from the app's point of view.
_ASKED, _ACCEPTED, _DENYING, _CLOSED = range(4)


class WebSocketExchange:
    """Runs the app for one WebSocket. Make it, then `start` it; ``finished`` is called when its task has ended."""

    def __init__(
        self,
        carrier: Carrier,
        request: Open,
        app: ASGIApp,
        *,
        state: dict[str, Any] | None,
        report: Report,
        finished: Callable[[Any], None],
        cancel_after: float = CANCEL_AFTER,
        cancel_told_after: float = CANCEL_TOLD_AFTER,
    ) -> None:
        self._carrier = carrier
        self._app = app
        self._report = report
        self._finished = finished
        self._cancel_after = cancel_after
        self._cancel_told_after = cancel_told_after
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._messages: deque[tuple[str | bytes, int]] = deque()
        self._unfinished = Pieces()
        """What has come of a message whose end has not."""
        self._unkept = 0
        """Bytes of it that the link was not told of as kept: they hold the sender back until the app catches up."""
        self._unkept_pieces = 0
        self._connect_given = False
        self._state = _ASKED
        self._gone: Message | None = None
        self._closed_with = (ABNORMAL, "")
        """Code and reason of the app's own close, which it is told again when it asks what comes next."""
        self._was_told = False
        self._stopped = False
        """Whether we have cancelled the task. A CancelledError before that is the app's own."""
        self._status = 0
        """That of a denial, once it was sent."""
        self._waiter: asyncio.Future[None] | None = None
        self._pausing: Pausing | None = None
        """Made for the first send that waits: few do."""
        self._turn_bytes = 0
        self._turn_started = self._loop.time()
        self._cancel_handle: asyncio.TimerHandle | None = None
        scheme = {"http": "ws", "https": "wss"}.get(request.scheme, request.scheme)
        self.scope = scope = base_scope(request, "websocket", scheme, state)
        scope["headers"] = _handshake(request.headers)
        scope["subprotocols"] = list(request.subprotocols)
        scope["extensions"]["websocket.http.response"] = {}

    def start(self) -> None:
        self._task = self._loop.create_task(self._run())

    def cancel(self) -> None:
        """End the app's task now: the service is being stopped."""
        if self._state == _ACCEPTED and self._gone is None:
            self._finish(1012, "the service is stopping")
        self._cancel("the service is stopping")

    def _cancel(self, why: str) -> None:
        if self._task is not None:
            self._stopped = True
            self._task.cancel(why)

    # --- the stream's events ------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:  # only a hub gets one
        pass

    def on_data(self, data: Data) -> None:
        body = data.data
        size = self._unfinished.size + len(body)
        if size > MAX_MESSAGE:
            self._give_up(1009, f"a message may have at most {MAX_MESSAGE} bytes")
            return
        if not data.message_end:
            self._unfinished.add(body)
            self._unkept += len(body)
            self._unkept_pieces += 1
            self._keep()
            return
        if self._unfinished.begun:
            self._unfinished.add(body)
            body = self._unfinished.take()
            self._unkept = self._unkept_pieces = 0
        self._messages.append((body.decode("utf-8", "replace") if data.text else body, size))
        self._wake()

    def _keep(self) -> None:
        """Let the rest of a long message come, once the app has taken all that came before it."""
        if not self._unkept_pieces or self._messages:
            return
        kept = self._carrier.keep(self._unkept, self._unkept_pieces)
        self._unkept = self._unkept_pieces = 0
        if not kept:
            self._give_up(1013, "too much waits of messages whose end has not come")

    def _give_up(self, code: int, reason: str) -> None:
        """Close, for what the sender does."""
        self._unfinished.clear()
        if self._state == _ACCEPTED:
            self._finish(code, reason)
        self._leave(code, reason)

    def on_close(self, code: int, reason: str) -> None:
        self._leave(code, reason)

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self._leave(ABNORMAL, "")

    def on_writable(self) -> None:
        if self._pausing is not None:
            self._pausing.writable()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _leave(self, code: int, reason: str) -> None:
        if self._gone is not None:
            return
        self._gone = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._wake()
        self.on_writable()
        if self._task is not None and not self._task.done():
            self._cancel_handle = self._loop.call_later(self._cancel_after, self._cancel, "the visitor left")

    # --- the app's side -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        if REPORTED.get():
            REPORTED.set(False)  # that was in the context that this call began in, and about something else
        doing = f"WebSocket {self.scope['path']}"
        try:
            await self._app(self.scope, self._receive, self._send)
        except BaseException as error:  # noqa: BLE001 - the app's own: its author sees it, the visitor does not
            if not is_failure(error, stopped=self._stopped, task=self._task):
                self._end_early(1012, "the service is stopping", ResetCode.CANCEL)
            else:
                if not (isinstance(error, StreamReset) and self._gone is not None):
                    self._report(doing, error)
                self._end_early(1011, "", ResetCode.APP_ERROR)
        else:
            if self._gone is None and self._state in (_ASKED, _DENYING):
                what = "ended within its denial" if self._state == _DENYING else "returned without an answer"
                self._report(doing, LocalProtocolError(f"the app {what}"))
            elif self._status >= 500 and not REPORTED.get():
                self._report(doing, AnsweredWithError(self._status))
            self._end_early(1000, "", ResetCode.APP_ERROR)
        finally:
            if self._cancel_handle is not None:
                self._cancel_handle.cancel()
            self._messages.clear()
            self._unfinished.clear()
            self._carrier.release()
            self._finished(self)

    def _end_early(self, close_code: int, reason: str, reset_code: ResetCode) -> None:
        if self._gone is not None or self._state == _CLOSED:
            return
        if self._state == _ACCEPTED:
            self._finish(close_code, reason)
        else:
            self._carrier.reset(reset_code, "the app did not answer the WebSocket")

    def _finish(self, code: int, reason: str) -> None:
        self._state = _CLOSED
        self._closed_with = (code, reason)
        try:
            self._carrier.send_close(code, reason)
        except LocalProtocolError:  # the visitor's own close was quicker
            pass

    async def _receive(self) -> Message:
        if not self._connect_given:
            self._connect_given = True
            return {"type": "websocket.connect"}
        while True:
            if self._messages:
                content, owed = self._messages.popleft()
                self._carrier.consumed(owed)
                self._keep()
                if isinstance(content, str):
                    return {"type": "websocket.receive", "text": content}
                return {"type": "websocket.receive", "bytes": content}
            if self._gone is not None:
                self._told()
                return dict(self._gone)
            if self._state == _CLOSED:
                code, reason = self._closed_with
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            before, self._waiter = self._waiter, self._loop.create_future()
            wait_beside(before, waiter := self._waiter)
            try:
                await waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None
            self._turn_started = self._loop.time()

    def _told(self) -> None:
        """The app knows now that the visitor left: give it longer to end by itself."""
        if self._cancel_handle is not None and self._task is not None and not self._was_told:
            self._was_told = True
            self._cancel_handle.cancel()
            self._cancel_handle = self._loop.call_later(self._cancel_told_after, self._cancel, "the visitor left")

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._pausing is not None and self._pausing.on:
            await self._pausing.over()
        if self._gone is not None:
            raise StreamReset(ResetCode.CANCEL, "the visitor has left")
        try:
            if self._state == _ACCEPTED:
                await self._send_accepted(kind, message)
            elif self._state == _ASKED:
                self._answer(kind, message)
            elif self._state == _DENYING:
                await self._deny(kind, message)
            else:
                raise RuntimeError(f"{kind} was sent after the WebSocket was closed")
        except LocalProtocolError as error:
            if self._gone is not None:
                raise StreamReset(ResetCode.CANCEL, "the visitor has left") from None
            raise RuntimeError(str(error)) from None

    async def _send_accepted(self, kind: str, message: Message) -> None:
        if kind == "websocket.send":
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                data = bytes(data)  # what waits to be sent must not change
                writable = self._carrier.send_data(data, message_end=True)
            elif text is not None:
                data = text.encode()
                writable = self._carrier.send_data(data, text=True, message_end=True)
            else:
                raise RuntimeError("websocket.send needs text or bytes")
            if not writable:
                await self._drained()
            else:
                self._turn_bytes += len(data)
                if self._turn_bytes >= YIELD_BYTES or self._loop.time() - self._turn_started >= YIELD_SECONDS:
                    self._turn_bytes = 0
                    self._pausing = self._pausing or Pausing()
                    await self._pausing.for_a_turn()
                    self._turn_started = self._loop.time()
        elif kind == "websocket.close":
            self._finish(message.get("code") or 1000, message.get("reason") or "")
            self._wake()
        else:
            raise RuntimeError(f"{kind!r} may not be sent on an accepted WebSocket")

    def _answer(self, kind: str, message: Message) -> None:
        if kind == "websocket.accept":
            headers = app_headers(message.get("headers", ()))
            self._carrier.send_head(101, headers, accept=True, subprotocol=message.get("subprotocol") or "")
            self._state = _ACCEPTED
        elif kind == "websocket.close":
            self._carrier.send_head(403, [], fin=True)
            self._state = _CLOSED
            self._wake()
        elif kind == "websocket.http.response.start":
            headers = app_headers(message.get("headers", ()))
            self._status = app_status(message["status"])
            self._carrier.send_head(self._status, headers)
            self._state = _DENYING
        else:
            raise RuntimeError(f"{kind!r} may not be sent before the WebSocket is accepted")

    async def _deny(self, kind: str, message: Message) -> None:
        if kind != "websocket.http.response.body":
            raise RuntimeError(f"{kind!r} may not be sent within a denial response")
        more = message.get("more_body", False)
        if not more:
            self._state = _CLOSED
        if not self._carrier.send_data(message.get("body", b""), fin=not more) and more:
            await self._drained()
        self._wake()

    async def _drained(self) -> None:
        """Wait until more may be sent.

        If the visitor leaves meanwhile, who may have all of it by then, the app hears of that by what it does next.
        """
        self._pausing = self._pausing or Pausing()
        await self._pausing.until_writable()


def _handshake(headers: Headers) -> Headers:
    """*headers* with the fields that ask for the upgrade: they are each hop's own (RFC 9110 §7.6.1), so that no hub
    passes them on, but libraries (Engine.IO) look for them to know a WebSocket by."""
    at = 1 if headers and headers[0][0] == b"host" else 0
    return [*headers[:at], (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), *headers[at:]]
