"""One HTTP exchange: a stream on one side, one call of the app on the other (ASGI 3.0, HTTP).

The visitor's leaving becomes ``http.disconnect`` at once, and cancels the app's task soon after, so that a generation
stops and frees its GPU. ``send()`` waits while the visitor reads slower than the app writes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from portico.asgi.carrier import Carrier, Report, app_headers, app_status, base_scope
from portico.asgi.pausing import Pausing, wait_beside
from portico.calls.endings import is_failure
from portico.calls.owner import REPORTED
from portico.errors import AnsweredWithError, FunctionError, LocalProtocolError, StreamReset
from portico.protocol.events import Data, Head, Open
from portico.protocol.frames import ResetCode
from portico.types import ASGIApp, Headers, Message

CANCEL_AFTER = 0.5
"""Seconds between the visitor's leaving and the cancelling of an app's task that has not asked for it."""

CANCEL_TOLD_AFTER = 10.0
"""The same for an app that has received the disconnect, and may be cleaning up."""

YIELD_BYTES = 64 * 1024
YIELD_SECONDS = 0.006
"""An app that never awaits is made to: ``send()`` lets the loop turn after so much, whichever comes first.

The time is longer than the interpreter's switch interval of 5 ms: each turn lets go of the GIL for an instant, which
starts the interval of every waiting thread anew, and a shorter one would keep a running cell waiting for ever.
"""


class HTTPExchange:
    """Runs the app for one request. Make it, then `start` it; `finished` is called when the app's task has ended."""

    __slots__ = (
        "_announced_length",
        "_app",
        "_body",
        "_body_done",
        "_body_taken",
        "_cancel_after",
        "_cancel_handle",
        "_cancel_told_after",
        "_carrier",
        "_disconnected",
        "_finished",
        "_head_sent",
        "_loop",
        "_no_body",
        "_pausing",
        "_report",
        "_request",
        "_response_done",
        "_sent",
        "_status",
        "_stopped",
        "_task",
        "_turn_bytes",
        "_turn_started",
        "_waiter",
        "_was_told",
        "scope",
    )

    def __init__(
        self,
        carrier: Carrier,
        request: Open,
        app: ASGIApp,
        *,
        state: dict[str, Any] | None,
        report: Report,
        finished: Any,
        cancel_after: float = CANCEL_AFTER,
        cancel_told_after: float = CANCEL_TOLD_AFTER,
    ) -> None:
        self._carrier = carrier
        self._request = request
        self._app = app
        self._report = report
        self._finished = finished
        self._cancel_after = cancel_after
        self._cancel_told_after = cancel_told_after
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._body: list[bytes] = []
        self._body_done = request.fin
        self._waiter: asyncio.Future[None] | None = None
        self._pausing: Pausing | None = None
        """Made for the first send that waits: few do."""
        self._cancel_handle: asyncio.TimerHandle | None = None
        self._disconnected = False
        self._body_taken = False
        self._was_told = False
        self._head_sent = False
        self._response_done = False
        self._no_body = request.method == "HEAD"
        self._announced_length: int | None = None
        self._sent = 0
        self._status = 0
        self._stopped = False
        """Whether we have cancelled the task. A CancelledError before that is the app's own."""
        self._turn_bytes = 0
        self._turn_started = 0.0
        self.scope = scope = base_scope(request, "http", request.scheme, state)
        scope["method"] = request.method

    @property
    def status(self) -> int:
        """Of the response; 0 before there is one."""
        return self._status

    def start(self) -> None:
        self._task = self._loop.create_task(self._run())

    # --- the stream's events ------------------------------------------------------------------------------------

    def on_head(self, head: Head) -> None:  # only a hub gets one
        pass

    def on_data(self, data: Data) -> None:
        if data.data:
            self._body.append(data.data)
        if data.fin:
            self._body_done = True
        self._wake()

    def on_close(self, code: int, reason: str) -> None:
        self._disconnect()

    def on_reset(self, code: ResetCode, reason: str) -> None:
        self._disconnect()

    def on_writable(self) -> None:
        if self._pausing is not None:
            self._pausing.writable()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _disconnect(self) -> None:
        if self._disconnected:
            return
        self._disconnected = True
        self._wake()
        self.on_writable()
        if self._task is not None and not self._task.done() and not self._response_done:
            self._cancel_handle = self._loop.call_later(self._cancel_after, self.cancel, "the visitor left")

    def _told(self) -> None:
        """The app knows now that the visitor left: give it longer to end by itself."""
        if self._cancel_handle is not None and self._task is not None and not self._was_told:
            self._was_told = True
            self._cancel_handle.cancel()
            self._cancel_handle = self._loop.call_later(self._cancel_told_after, self.cancel, "the visitor left")

    def cancel(self, why: str = "the service is stopping") -> None:
        """End the app's task now."""
        if self._task is not None:
            self._stopped = True
            self._task.cancel(why)

    # --- the app's side -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        if REPORTED.get():
            REPORTED.set(False)  # that was in the context that this call began in, and about something else
        try:
            self._turn_started = self._loop.time()
            await self._app(self.scope, self._receive, self._send)
        except BaseException as error:  # noqa: BLE001 - the app's own: its author sees it, the visitor does not
            failed = is_failure(error, stopped=self._stopped, task=self._task)
            told = isinstance(error, FunctionError) and REPORTED.get()  # it broke the answer off, and the log has why
            if failed and not told and not (isinstance(error, StreamReset) and self._disconnected):
                self._report(f"{self._request.method} {self.scope['path']}", error)
            if not self._response_done:
                if failed:
                    self._carrier.reset(ResetCode.APP_ERROR, "the app raised an exception")
                else:
                    self._carrier.reset(ResetCode.CANCEL, "the service is stopping")
        else:
            if not self._response_done and not self._disconnected:
                what = "ended within its response" if self._head_sent else "returned without a response"
                self._report(f"{self._request.method} {self.scope['path']}", LocalProtocolError(f"the app {what}"))
                self._carrier.reset(ResetCode.APP_ERROR, f"the app {what}")
            elif self._status >= 500 and not REPORTED.get():
                self._report(f"{self._request.method} {self.scope['path']}", AnsweredWithError(self._status))
        finally:
            if self._cancel_handle is not None:
                self._cancel_handle.cancel()
            self._body.clear()
            self._carrier.release()
            self._finished(self)

    async def _receive(self) -> Message:
        while True:
            if self._disconnected or self._response_done:
                self._told()
                return {"type": "http.disconnect"}
            if self._body:
                parts, self._body = self._body, []
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                self._carrier.consumed(len(body))
                self._body_taken = self._body_done
                return {"type": "http.request", "body": body, "more_body": not self._body_done}
            if self._body_done and not self._body_taken:
                self._body_taken = True
                return {"type": "http.request", "body": b"", "more_body": False}
            before, self._waiter = self._waiter, self._loop.create_future()
            wait_beside(before, waiter := self._waiter)
            try:
                await waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None
            self._turn_started = self._loop.time()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._pausing is not None and self._pausing.on:
            await self._pausing.over()
        if self._disconnected:
            raise StreamReset(ResetCode.CANCEL, "the visitor has left")
        if kind == "http.response.body":
            if not self._head_sent or self._response_done:
                raise RuntimeError("http.response.body was sent " + ("twice" if self._head_sent else "first"))
            body = message.get("body", b"")
            if type(body) is not bytes:  # what waits to be sent must not change
                body = bytes(body)
            more = message.get("more_body", False)
            size = len(body)
            self._sent += size
            announced = self._announced_length
            if self._no_body:
                if size:
                    body = b""
                    size = 0
            elif announced is not None and (self._sent > announced or (not more and self._sent != announced)):
                much = "longer" if self._sent > announced else "shorter"
                raise RuntimeError(f"the response is {much} than its Content-Length of {announced} bytes")
            if not more:
                self._response_done = True
            elif not size:
                await asyncio.sleep(0)
                return
            try:
                writable = self._carrier.send_data(body, fin=not more)
            except LocalProtocolError:
                raise StreamReset(ResetCode.CANCEL, "the visitor has left") from None
            if not more:
                self._wake()
            elif not writable:
                await self._drained()
            else:
                self._turn_bytes += size
                if self._turn_bytes >= YIELD_BYTES or self._loop.time() - self._turn_started >= YIELD_SECONDS:
                    self._turn_bytes = 0
                    self._pausing = self._pausing or Pausing()
                    await self._pausing.for_a_turn()
                    self._turn_started = self._loop.time()
        elif kind == "http.response.start":
            if self._head_sent:
                raise RuntimeError("http.response.start was sent twice")
            status = app_status(message["status"])
            headers = app_headers(message.get("headers", ()))
            self._read_framing(status, headers)
            try:
                self._carrier.send_head(status, headers)
            except LocalProtocolError as error:
                if self._disconnected:
                    raise StreamReset(ResetCode.CANCEL, "the visitor has left") from None
                raise RuntimeError(str(error)) from None
            self._head_sent = True
            self._status = status
        else:
            raise RuntimeError(f"{kind!r} is no event that an HTTP app may send")

    def _read_framing(self, status: int, headers: Headers) -> None:
        if status in (204, 304):
            self._no_body = True
        for name, value in headers:
            if name == b"content-length":
                if not value.isdigit() or len(value) > 18:  # 18 digits fit 63 bits, and no body is longer
                    raise RuntimeError(f"Content-Length {value[:40]!r} is not a number of bytes")
                self._announced_length = int(value)

    async def _drained(self) -> None:
        self._pausing = self._pausing or Pausing()
        await self._pausing.until_writable()
        self._turn_bytes = 0
        self._turn_started = self._loop.time()
        if self._disconnected:
            raise StreamReset(ResetCode.CANCEL, "the visitor has left")
