"""What goes back to one caller: one JSON answer where that is enough, else a stream of events. One write at a time."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from portico.hub.answers import Answer
from portico.hub.firewall.headers import cors_headers
from portico.hub.held_bodies import FREE, HeldBody
from portico.hub.responders import Responder
from portico.hub.tools.events import BEAT, EVENTS, event
from portico.hub.tools.messages import (
    INVALID_REQUEST,
    MalformedMessage,
    MessageError,
    RequestId,
    dumps,
    error_response,
    refusal_of,
)
from portico.hub.visits import Visit
from portico.types import Headers

_JSON: Final[Headers] = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox"),  # all services speak from one origin here, and none of them with a page
]


class BodyWriter:
    """Writes an answer's body to an edge, whose writes follow each other."""

    __slots__ = ("_busy", "_drained", "_fin", "_queue", "_responder", "_visit", "begun", "over")

    def __init__(self, visit: Visit, responder: Responder) -> None:
        self._visit = visit
        self._responder = responder
        self._queue: list[bytes] = []
        self._fin = False
        self._busy = False
        self._drained: asyncio.Future[None] | None = None
        self.begun = False
        self.over = False
        """All is written, or nobody is there to read."""

    def begin(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        """The head, and the first bytes."""
        self.begun, self.over = True, fin
        if self._visit.cors_origin:
            headers = [*headers, *cors_headers(self._visit.cors_origin)]
        self._visit.sent += len(body)
        return self._wait(self._responder.respond(status, [*headers], body, fin))

    def more(self, body: bytes, fin: bool = False) -> asyncio.Future[None] | None:
        """More of the body. What is returned says when all is written; None: it is."""
        if self.over:
            return None
        self.over = fin
        self._visit.sent += len(body)
        if self._busy:
            self._queue.append(body)
            self._fin = fin
            return self._drained
        return self._wait(self._responder.write(body, fin))

    @property
    def busy(self) -> bool:
        """Whether what was written last has not been taken."""
        return self._busy

    async def settle(self) -> None:
        """Wait until all that was written is taken, or nobody is there to read."""
        if self._busy and self._drained is not None:
            await asyncio.wait((self._drained,))

    def cut(self) -> None:
        """Break off."""
        if not self.over:
            self.over = True
            self._responder.cut()

    def _wait(self, written: asyncio.Future[None] | None) -> asyncio.Future[None] | None:
        if written is None or written.done():
            return None
        self._busy = True
        if self._drained is None or self._drained.done():
            self._drained = asyncio.get_running_loop().create_future()
        written.add_done_callback(self._written)
        return self._drained

    def _written(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled():
            written.exception()  # the visitor left: the edge says so, too
        self._busy = False
        if self._queue:
            body = b"".join(self._queue)
            self._queue.clear()
            if self._wait(self._responder.write(body, self._fin)) is not None:
                return
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


class PostReply:
    """The answers to what one POST asked: one, or those of a batch."""

    __slots__ = ("_answers", "_batch", "_events", "_headers", "_visit", "_writer", "modern")

    def __init__(self, visit: Visit, responder: Responder, *, events: bool) -> None:
        """*events*: whether the caller takes a stream of them."""
        self._visit = visit
        self._writer = BodyWriter(visit, responder)
        self._events = events
        self.modern = False
        """Whether what is answered is of 2026-07-28."""
        self._batch: HeldBody | None = None
        """What counts the answers that go back in a list; None if one message is answered."""
        self._headers: Headers = []
        self._answers: list[bytes] = []

    @property
    def over(self) -> bool:
        return self._writer.over

    def drop(self) -> None:
        """The caller has left."""
        self._writer.over = True

    def collect(self, held: HeldBody) -> None:
        """From now on answers go back in a list, as the messages came. *held* counts those that are large."""
        self._batch = held

    async def settle(self) -> None:
        """Wait until the caller has taken what was written."""
        await self._writer.settle()

    def with_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    # --- before the answer --------------------------------------------------------------------------------------

    def tell(self, message: dict[str, Any]) -> asyncio.Future[None] | None:
        """A notification on the way. One who takes no events does without."""
        if not self._events or self.over:
            return None
        return self._say(event(message))

    def beat(self) -> None:
        """A sign of life, so that nothing between gives the connection up."""
        if self._events and not self.over and not self._writer.busy:
            self._say(BEAT)

    def _say(self, data: bytes) -> asyncio.Future[None] | None:
        if self._writer.begun:
            return self._writer.more(data)
        return self._writer.begin(200, [*EVENTS, *self._headers], data, False)

    # --- the answer ---------------------------------------------------------------------------------------------

    def answer(self, message: dict[str, Any], status: int = 200, headers: Headers | None = None) -> None:
        """The answer to a request.

        Raises `MalformedMessage` for what cannot be written, and an `Answer` for what is too much in a list.
        """
        if self.over:
            return
        if self._writer.begun:
            self._writer.more(event(message), self._batch is None)
        elif self._batch is not None:
            data = dumps(message)
            if len(data) > FREE:
                self._batch.grow(len(data))
            self._answers.append(data)
        else:
            self._whole(status, dumps(message), headers or [])

    def refuse(self, id_: RequestId | None, refusal: MessageError) -> None:
        """Answer a request with an error. Clients of before 2026 take an HTTP error for the end of their session."""
        status, headers = 200, list[tuple[bytes, bytes]]()
        if refusal.answer is not None:
            self._visit.say(refusal.answer.code)
            headers = headers_of(refusal.answer)
        if self.modern or id_ is None:
            status = refusal.status
        self.answer(error_response(id_, refusal), status, headers)

    def note(self, answer: Answer) -> None:
        """What is answered stands for the hub's own *answer*, in the hub's counts."""
        self._visit.say(answer.code)

    def end(self) -> None:
        """All that was asked is answered."""
        if self.over:
            return
        if self._writer.begun:
            self._writer.more(b"", True)
        elif self._answers:
            self._whole(200, b"[" + b",".join(self._answers) + b"]", [])
        else:  # notifications alone
            self._writer.begin(202, [*self._headers, (b"content-length", b"0")], b"", True)

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """An answer that is no message."""
        self._writer.begin(status, headers, body, True)

    def _whole(self, status: int, body: bytes, headers: Headers) -> None:
        length = (b"content-length", b"%d" % len(body))
        self._writer.begin(status, [*_JSON, length, *self._headers, *headers], body, True)


def headers_of(answer: Answer) -> Headers:
    """The fields of the hub's own *answer* besides those of its body (RFC 9110 §11.6.1, RFC 6750 §3)."""
    headers = [*answer.headers]
    if answer.retry_after is not None:
        headers.append((b"retry-after", b"%d" % answer.retry_after))
    if answer.status == 401:
        error = b', error="invalid_token"' if answer.code == "invalid_key" else b""
        headers.append((b"www-authenticate", b'Bearer realm="portico"' + error))
    return headers


def render(answer: Answer) -> tuple[Headers, bytes]:
    """The hub's own *answer* to a request of which no message was read: a JSON-RPC error without an id."""
    if answer.status == 204:
        return [*answer.headers], b""
    body = dumps(error_response(None, refusal_of(answer)))
    return [*_JSON, (b"content-length", b"%d" % len(body)), *headers_of(answer)], body


def unwritable(error: MalformedMessage) -> MessageError:
    """The answer in place of one that cannot be written."""
    return MessageError(INVALID_REQUEST, f"The message cannot be passed on: {error}.")
