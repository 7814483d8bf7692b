"""The responses API over a WebSocket: ``response.create`` in, the events of a stream out, one response after the other.

Here: one connection. A response of ``store: false`` can still be gone on with on the connection that made it. Source:
OpenAI API guide, "WebSocket mode" of the responses API; ASGI WebSocket specification.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from portico.calls.exchange import Exchange, Leaving
from portico.calls.json_text import compact
from portico.calls.sse import AnswerStream, ClientLeft, Write
from portico.errors import APIError, InvalidRequest, PorticoError, UnusableRequest
from portico.models.engine import Engine
from portico.models.fields import fields_of
from portico.models.response_store import Store
from portico.models.responses import Responses, Turn
from portico.models.wire import error_object
from portico.types import Message, Receive, Scope, Send

log = logging.getLogger(__name__)

WAITING = 16
"""Messages that may wait while a response is being made; a client that sends more is cut off."""

KEPT = 32
"""Responses of ``store: false`` that a connection remembers."""


def _size(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or "")


class ResponseSocket:
    """One connection."""

    def __init__(self, responses: Responses, scope: Scope, receive: Receive, send: Send) -> None:
        self._responses = responses
        self._exchange = Exchange(scope, receive, send, [])
        self._send = send
        self._unstored = Store(KEPT, responses.engine.settings.stored_bytes)
        self._inbox: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._refused: tuple[int, str] | None = None

    async def run(self) -> None:
        """Serve the connection until the client leaves."""
        receive = self._exchange.receive
        if (await receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept", "headers": [(b"x-request-id", self._exchange.id.encode())]})
        async with Leaving(receive, self._arrive):
            while True:
                while self._inbox:
                    await self._answer(self._inbox.popleft())
                self._arrived.clear()
                await self._arrived.wait()
        if self._refused is not None:
            code, reason = self._refused
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _arrive(self, message: Message) -> bool:
        """Take a message; True if the connection is to end."""
        if message["type"] != "websocket.receive":
            return True
        limit = self._responses.engine.settings.max_body
        if _size(message) > limit:
            self._refused = (1009, f"A message is larger than {limit} bytes.")
        elif len(self._inbox) >= WAITING:
            self._refused = (1008, f"More than {WAITING} messages wait.")
        elif sum(map(_size, self._inbox)) + _size(message) > 2 * limit:
            self._refused = (1008, f"Messages of more than {2 * limit} bytes wait.")
        if self._refused is None:
            self._inbox.append(message)
        self._arrived.set()
        return self._refused is not None

    async def _answer(self, message: Message) -> None:
        lane: str | None = None
        try:
            body = fields_of(message.get("text") or message.get("bytes") or "")
            lane = body.pop("stream_id", None)
            if not isinstance(lane, str | None):
                raise InvalidRequest("'stream_id' must be a string.", "stream_id")
            kind = body.pop("type", None)
            if kind != "response.create":
                raise InvalidRequest(f"'type' must be response.create, not {str(kind)[:100]!r}.", "type")
            with self._responses.engine.slot():
                await self._create(body, lane)
        except (APIError, UnusableRequest) as error:
            await self.tell(error, lane)

    async def _create(self, body: dict[str, Any], lane: str | None) -> None:
        generate = body.pop("generate", True)
        body.pop("background", None)  # without a meaning here
        turn = self._responses.begin(self._exchange, body, self._unstored, lane, lines=False)
        if generate is False:  # the client only wants what it sent to be remembered
            turn.generation.skip()
        await self._deliver(turn, lane)

    async def _deliver(self, turn: Turn, lane: str | None) -> None:
        async def open() -> None:
            for frame in turn.events.opening():
                await self._emit(frame)

        stream = AnswerStream(open, self._emit, turn.events.beat, self._responses.engine.settings.keep_alive)
        try:
            for frame in await stream.fill(_OnTheSocket(self, self._responses.engine, turn, lane)):
                await stream.write(frame)
        except ClientLeft:
            log.debug("The client left during %s", turn.id)
        finally:
            stream.drop()

    async def tell(self, error: PorticoError, lane: str | None) -> None:
        """Send an error by itself, not as a part of a response."""
        event: dict[str, Any] = {"type": "error", "status": error.status, "error": error_object(error)}
        if lane is not None:
            event["stream_id"] = lane
        await self._emit(compact(event).encode("ascii"))

    async def _emit(self, frame: bytes) -> None:
        await self._send({"type": "websocket.send", "text": frame.decode("ascii")})


class _OnTheSocket:
    """A response as `AnswerStream.fill` wants it."""

    def __init__(self, socket: ResponseSocket, engine: Engine, turn: Turn, lane: str | None) -> None:
        self.opening = turn.events.opening
        self.failure = turn.events.failure
        self.beat = turn.events.beat
        self._socket = socket
        self._engine = engine
        self._turn = turn
        self._lane = lane

    async def make(self, write: Write) -> list[bytes]:
        turn = self._turn
        try:
            await turn.generation.run(turn.events, write)
            return turn.events.closing(turn.generation)
        except asyncio.CancelledError:
            turn.events.cancelled()
            raise

    def failed(self, error: BaseException) -> PorticoError:
        return self._engine.answerable(error, self._turn.model)

    async def refuse(self, error: PorticoError) -> None:
        await self._socket.tell(error, self._lane)
