"""One call of a tool: what its service is sent, and what of its answer goes back to the caller.

A service answers its own calls and no other's: of what it sends, the one response to this request goes back, and the
progress that was asked for. All else (responses with another id, requests, what is no message) would let it speak for
other services, as clients have one session for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from portico import foreign
from portico.hub.answers import Answer
from portico.hub.held_bodies import HeldBody
from portico.hub.http_forward import HTTPForward
from portico.hub.tools.eras import (
    CAPABILITIES_KEY,
    METHOD_HEADER,
    MODERN,
    NAME_HEADER,
    SESSION_HEADER,
    VERSION_HEADER,
    VERSION_KEY,
    encoded,
)
from portico.hub.tools.events import BEAT_EVERY, EventReader, EventTooLong
from portico.hub.tools.messages import (
    JSONRPCMessage,
    MalformedMessage,
    MessageError,
    dumps,
    loads,
    notification,
    refusal_of,
    response,
)
from portico.hub.tools.reply import PostReply
from portico.types import Headers

logger = logging.getLogger(__name__)

MOST_OF_AN_ANSWER: Final = 16 * 1024 * 1024
"""Bytes of a result, or of one event: some images; whatever is longer does not fit a model's context either."""

_TIME_TO_END = 1.0  # seconds that a service has to end its answer by itself after it gave the result

_NOT_PASSED_ON = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"last-event-id",
        b"origin",
        b"referer",
        b"transfer-encoding",
        METHOD_HEADER,
        NAME_HEADER,
        SESSION_HEADER,
        VERSION_HEADER,
    }
)
"""Of a caller's fields: those that describe its request to the hub."""


def sent(message: JSONRPCMessage, tool: str, *, modern: bool) -> tuple[str | int, bytes]:
    """The id and the body of what the service of *tool* is sent: a request of 2026-07-28, whoever asks.

    Raises `MalformedMessage` and `MessageError`.
    """
    assert message.id is not None
    id_ = message.id if isinstance(message.id, str | int) else str(message.id)
    meta = {**message.meta, VERSION_KEY: MODERN}
    if not modern:  # whoever waits for a handshake cannot be asked back
        meta[CAPABILITIES_KEY] = {}
    params = {**message.params, "name": tool, "_meta": meta}
    return id_, dumps({"jsonrpc": "2.0", "id": id_, "method": "tools/call", "params": params})


def passed_on(headers: Headers, tool: str, body: bytes) -> Headers:
    """The fields of that request, of the caller's *headers*."""
    return [pair for pair in headers if pair[0] not in _NOT_PASSED_ON] + [
        (b"accept", b"application/json, text/event-stream"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (VERSION_HEADER, MODERN.encode()),
        (METHOD_HEADER, b"tools/call"),
        (NAME_HEADER, encoded(tool)),
    ]


class ForwardedCall:
    """The responder of a service that is called (`portico.hub.responders.Responder`)."""

    def __init__(self, reply: PostReply, message: JSONRPCMessage, sent_id: str | int, held: HeldBody) -> None:
        """*sent_id* is what the service knows the request by; *held* counts what is held of its answer."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The call has its answer, or nobody waits for one."""
        self.forward: HTTPForward | None = None
        self._reply = reply
        self._id = message.id
        self._sent_id = sent_id
        self._progress = message.meta.get("progressToken")
        self._held = held
        self._status = 0
        self._events: EventReader | None = None
        self._counted = 0
        self._body: list[bytes] | None = None
        self._beat = asyncio.get_running_loop().call_later(BEAT_EVERY, self._still_here)

    # --- from the service ---------------------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        self._status = status
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        kind = kind.partition(b";")[0].strip().lower()
        if kind == b"text/event-stream" and status == 200:
            self._events = EventReader(MOST_OF_AN_ANSWER)
        elif kind == b"application/json":
            self._body = []
        else:
            self._fail(_bad_answer(status))
            return None
        return self.write(body, fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if self.over.done():
            return None
        wait: asyncio.Future[None] | None = None
        try:
            if self._events is not None:
                for data in self._events.feed(body):
                    wait = self._read(data) or wait
                self._count(self._events.held - self._counted)
            elif self._body is not None:
                self._body.append(body)
                self._count(len(body))
                if fin:
                    self._read(b"".join(self._body))
        except (MalformedMessage, EventTooLong):
            self._fail(_bad_answer(self._status))
            return None
        except Answer as answer:  # the caller's share of what is held
            self._fail(answer)
            return None
        if fin and not self.over.done():
            self._fail(_no_answer())
        return wait

    def answer(self, answer: Answer) -> None:
        self._fail(answer)

    def cut(self) -> None:
        text = "The service broke off in the middle of its answer: it failed, or the program that runs it is gone."
        self._fail(Answer(502, "broken", text))

    def _count(self, more: int) -> None:
        """So much more of the answer is held, or less. Raises an `Answer`."""
        if more > 0:
            self._held.grow(more)
            self._counted += more
        elif self._events is not None and self._events.held == 0:
            self._held.release()
            self._counted = 0

    def _read(self, data: bytes) -> asyncio.Future[None] | None:
        """One message of the service. Raises `MalformedMessage`."""
        message = loads(data)
        if self.over.done() or not isinstance(message, dict):
            return None
        if message.get("method") == "notifications/progress" and "id" not in message:
            return self._tell_progress(message.get("params"))
        if "method" in message or not self._is_ours(message):
            return None
        result, error = message.get("result"), message.get("error")
        if isinstance(result, dict):
            self._end(result)
        elif isinstance(error, dict) and _is_code(error.get("code")) and isinstance(error.get("message"), str):
            self._reply.refuse(self._id, MessageError(error["code"], error["message"], error.get("data")))
            self._finish()
        else:
            raise MalformedMessage("a response with neither a result nor an error")
        return None

    def _is_ours(self, message: dict[str, Any]) -> bool:
        id_ = message.get("id")
        if id_ is None:  # it could not be read, says the service
            return "error" in message and self._body is not None
        return type(id_) is type(self._sent_id) and id_ == self._sent_id

    def _tell_progress(self, params: Any) -> asyncio.Future[None] | None:
        token = self._progress
        if token is None or not isinstance(params, dict):
            return None
        if type(params.get("progressToken")) is not type(token) or params["progressToken"] != token:
            return None
        return self._reply.tell(notification("notifications/progress", params))

    # --- the end ------------------------------------------------------------------------------------------------

    def _end(self, result: dict[str, Any]) -> None:
        """Pass the result on. Raises `MalformedMessage` for one that cannot be written, and then nothing is over."""
        if not self._reply.modern:
            kind = result.pop("resultType", "complete")
            if kind != "complete":  # it wants to ask back
                self._fail(Answer(501, "asks_back", "This tool asks its caller back, which needs a newer MCP client."))
                return
        self._reply.answer(response(self._id, result))
        self._finish()

    def _fail(self, answer: Answer) -> None:
        """The call has no result, and the caller is told why, in words for a model."""
        if self.over.done():
            return
        self._finish()
        refuse(self._reply, self._id, answer)

    def _finish(self) -> None:
        self._beat.cancel()
        self._held.release()
        self._body = None
        if not self.over.done():
            self.over.set_result(None)
        forward = self.forward
        if forward is not None and not forward.over:
            asyncio.get_running_loop().call_later(_TIME_TO_END, forward.visitor_left)

    def leave(self) -> None:
        """Nobody waits for the answer any more: the service is told at once."""
        self._beat.cancel()
        self._held.release()
        if not self.over.done():
            self.over.set_result(None)
        if self.forward is not None:
            self.forward.visitor_left()

    def cancel(self) -> None:
        """Its caller has sent ``notifications/cancelled``."""
        if not self.over.done():
            self.leave()
            self._reply.refuse(self._id, MessageError(0, "The call was cancelled."))

    def _still_here(self) -> None:
        self._beat = asyncio.get_running_loop().call_later(BEAT_EVERY, self._still_here)
        self._reply.beat()


def _is_code(code: object) -> bool:
    """Whether it can be an error's code: a whole number that all languages know (RFC 8259 §6)."""
    return type(code) is int and abs(code) < 1 << 53


def refuse(reply: PostReply, id_: Any, answer: Answer) -> None:
    """A call was let in, and has no result. A client of before 2026 is given one all the same, that says what failed:
    an HTTP error would end its session, and of other errors not every one tells its model."""
    if reply.modern:
        reply.refuse(id_, refusal_of(answer))
    else:
        reply.note(answer)
        reply.answer(response(id_, {"content": [{"type": "text", "text": answer.message}], "isError": True}))


def _bad_answer(status: int) -> Answer:
    text = "The service answered with something that is not MCP"
    return Answer(502, "bad_answer", f"{text} (status {foreign.text(status, 10)}). Does it still offer this tool?")


def _no_answer() -> Answer:
    return Answer(502, "no_answer", "The service ended without giving a result.")
