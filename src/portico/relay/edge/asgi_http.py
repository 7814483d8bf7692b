"""One visitor's request by ASGI: its answer is written from the link's callbacks, its body is read by its own task.

What ASGI leaves to an app: bodies of 204 and 304 are dropped; a connection is cut by returning before the response is
whole. Where the request goes is not known here: `portico.relay.edge.edge`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from portico.hub.answers import Answer, late_body
from portico.hub.date_and_server import date
from portico.hub.firewall.headers import BODILESS
from portico.hub.http_forward import HTTPForward
from portico.hub.models.exchange import ModelsExchange
from portico.hub.request import VisitorRequest
from portico.hub.tools.exchange import ToolsExchange
from portico.hub.visits import BROKEN, Visit
from portico.relay.counters import Counters
from portico.relay.edge.driving import drive
from portico.relay.state import RelayState
from portico.types import Headers, Receive, Send

logger = logging.getLogger(__name__)

_Read = HTTPForward | ModelsExchange | ToolsExchange
"""What a request's body is for."""

_MOST_FORM = 16 * 1024
"""Bytes of a form that is posted to ``/.portico/``."""

_CONTINUE_AFTER = 0.05
"""Seconds that an app has to refuse a request that expects 100-continue before the visitor is told to send its body
(RFC 9110 §10.1.1): a server says so when the body is first asked for."""

HIGHEST_STATUS = 599  # uvicorn knows no status line for more


class ASGIResponder:
    """The responder of `portico.hub.http_forward.HTTPForward`."""

    __slots__ = (
        "_began",
        "_no_body",
        "_on_cut",
        "_said",
        "_send",
        "_state",
        "complete",
        "expects",
        "visit",
    )

    def __init__(self, state: RelayState, visit: Visit, send: Send, on_cut: Callable[[], None]) -> None:
        self._state = state
        self.visit = visit
        self._send = send
        self._on_cut = on_cut
        self._no_body = False
        self._said = False
        """The hub has answered in the app's place: what more the app says is not passed on."""
        self.complete = False
        """The answer is whole."""
        self._began: asyncio.Future[None] | None = None
        self.expects = _expects(visit.request)
        """Whether the visitor waits for the word to send its body."""

    async def hold_back(self) -> None:
        """Give the app a while to answer before the visitor is told to send its body."""
        self._began = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._began,), timeout=_CONTINUE_AFTER)
        self.expects = False

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if status > HIGHEST_STATUS:
            self._said = True
            return self.say(unwritable(status))
        self.visit.answered(status)
        self.complete = fin
        if self._state.leaving:
            headers.append((b"connection", b"close"))
        if self.expects:  # the body will not be asked for, and where the next request begins cannot be known
            headers.append((b"connection", b"close"))
            if self._began is not None and not self._began.done():
                self._began.set_result(None)
        if status in BODILESS:
            self._no_body = True
            body = b""
            # uvicorn would wait for the body that a 304 says it would have
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        length = has_date = False
        for name, _ in headers:
            if name == b"content-length":
                length = True
            elif name == b"date":
                has_date = True
        if fin and not length and not self._no_body:
            headers.append((b"content-length", b"%d" % len(body)))
        if not has_date and self._state.dates:
            headers.append((b"date", date()))
        return self._drive(
            self._both(
                {"type": "http.response.start", "status": status, "headers": headers},
                {"type": "http.response.body", "body": body, "more_body": not fin},
            )
        )

    async def _both(self, head: dict[str, Any], body: dict[str, Any]) -> None:
        await self._send(head)
        await self._send(body)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if self._said:
            return None
        if self._no_body:
            body = b""
            if not fin:
                return None
        self.complete = fin
        return self._drive(self._write({"type": "http.response.body", "body": body, "more_body": not fin}))

    async def _write(self, message: dict[str, Any]) -> None:
        await self._send(message)

    def _drive(self, sending: Coroutine[Any, Any, None]) -> asyncio.Future[None] | None:
        try:
            return drive(sending)
        except Exception as error:  # noqa: BLE001 -- the visitor left, or the app broke its own Content-Length
            logger.debug("a response could not be written: %s", error)
            if not isinstance(error, OSError):  # which says that the visitor left (ASGI 2.4)
                self.visit.end(BROKEN)
            self._on_cut()
            return None

    def answer(self, answer: Answer) -> None:
        self.say(answer)

    def say(self, answer: Answer) -> asyncio.Future[None] | None:
        """As `answer`; a future that is returned says when it is written."""
        headers, body = self.visit.render(answer)
        headers.append((b"x-request-id", self.visit.id.encode()))
        return self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        if self._said:
            return
        self.visit.end(BROKEN)  # not the visitor's doing
        self._on_cut()

    @property
    def started(self) -> bool:
        """Whether the head is out."""
        return self.visit.status > 0


class RequestReading:
    """A request's own task, which reads what its visitor sends, and waits for the visitor's end."""

    __slots__ = ("_counters", "_stopped", "_task", "_timeout")

    def __init__(self, timeout: float, counters: Counters) -> None:
        """*timeout*: seconds for each piece of a body to come."""
        self._timeout, self._counters = timeout, counters
        self._task = asyncio.current_task()
        self._stopped = False

    def stop(self) -> None:
        """End the task before the response is whole: the server then breaks the connection."""
        if not self._stopped and self._task is not None:
            self._stopped = True
            self._task.cancel()

    def _is_stopped(self) -> bool:
        """After a cancelling: whether it was `stop`, and ends here."""
        if self._stopped and self._task is not None:
            self._task.uncancel()
            return True
        return False

    async def finish(self, written: asyncio.Future[None] | None) -> None:
        """Wait until an answer is written."""
        try:
            if written is not None:
                await written
        except asyncio.CancelledError:
            if not self._is_stopped():
                raise

    async def watch(self, forward: _Read, receive: Receive) -> None:
        """Wait for the visitor's end, and tell the app; the end of the response is told as one (ASGI)."""
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            if not self._is_stopped():
                raise
        finally:
            forward.visitor_left()  # an app whose answer could not be written hears of it as well

    async def upload(self, forward: _Read, receive: Receive, visit: ASGIResponder) -> None:
        """Pass the request's body on as it comes, no faster than the app takes it; then wait for the visitor's end."""
        pending: asyncio.Task[Mapping[str, Any]] | None = None
        try:
            if visit.expects:
                await visit.hold_back()
            while True:
                try:
                    if pending is None:
                        message = await self._in_time(receive)
                    else:
                        waiting, pending = pending, None
                        message = await self._in_time(lambda waiting=waiting: waiting)  # type: ignore[misc]
                except Answer as answer:
                    if not forward.uploading:
                        break  # nobody waits for the rest of it
                    forward.visitor_left()
                    if visit.started:
                        return
                    await self.finish(visit.say(answer))
                    return
                if message["type"] == "http.disconnect":
                    forward.visitor_left()
                    return
                body = message.get("body", b"")
                wait = forward.upload(body) if body else None
                if wait is not None and not wait.done():
                    # While the app holds the upload back, its visitor may leave.
                    pending = asyncio.ensure_future(_received(receive))
                    await asyncio.wait((wait, pending), return_when=asyncio.FIRST_COMPLETED)
                    if pending.done() and pending.result()["type"] == "http.disconnect":
                        continue
                    await wait
                if not message.get("more_body", False):
                    forward.upload_done()
                    break
            if pending is not None:
                await pending
        except asyncio.CancelledError:
            if pending is not None:
                pending.cancel()
            forward.visitor_left()  # as in `watch`
            if not self._is_stopped():
                raise
            return
        await self.watch(forward, receive)

    async def form(self, receive: Receive) -> bytes | None:
        """A whole form; None if its visitor left before its end: a part of one is never acted on."""
        body = bytearray()
        while True:
            message = await self._in_time(receive)
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > _MOST_FORM:
                raise Answer(413, "too_large", "The form is too large.")
            if not message.get("more_body", False):
                return bytes(body)

    async def _in_time(self, receive: Receive) -> Mapping[str, Any]:
        """The next piece of a body. Raises an `Answer` (408) if none comes."""
        try:
            async with asyncio.timeout(self._timeout):
                return await receive()
        except TimeoutError:
            self._counters.late += 1
            raise late_body() from None


async def _received(receive: Receive) -> Mapping[str, Any]:
    return await receive()


def has_body(headers: Headers) -> bool:
    """Whether a request with these headers has a body (RFC 9112 §6.3)."""
    for name, value in headers:
        if name == b"content-length":
            return value != b"0"
        if name == b"transfer-encoding":
            return True
    return False


def _expects(request: VisitorRequest) -> bool:
    return request.http_version == "1.1" and any(
        name == b"expect" and value.lower() == b"100-continue" for name, value in request.headers
    )


def unwritable(status: int) -> Answer:
    """To a visitor, of a status above `HIGHEST_STATUS`."""
    return Answer(502, "bad_status", f"The app answered with the status {status}, which this relay cannot write.")
