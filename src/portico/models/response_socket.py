"""The responses API over a WebSocket: ``response.create`` in, the events of a stream out, one response after the other.

Here: one connection. A response of ``store: false`` can still be gone on with on the connection that made it. Source:
OpenAI API guide, "WebSocket mode" of the responses API; ASGI WebSocket specification.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from portico.calls.body import parse
from portico.calls.exchange import Exchange, Leaving, error_object
from portico.calls.sse import ClientLeft, Stream, compact
from portico.errors import APIError, InvalidRequest, PorticoError
from portico.models.fields import make_plain
from portico.models.response_store import Store
from portico.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from portico.models.responses import Responses, Turn

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
        self._unstored = Store(KEPT, responses.service.settings.stored_bytes)
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
        limit = self._responses.service.settings.max_body
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
            body = parse(message.get("text") or message.get("bytes") or "")
            make_plain(body)
            lane = body.pop("stream_id", None)
            if not isinstance(lane, str | None):
                raise InvalidRequest("'stream_id' must be a string.", "stream_id")
            kind = body.pop("type", None)
            if kind != "response.create":
                raise InvalidRequest(f"'type' must be response.create, not {str(kind)[:100]!r}.", "type")
            with self._responses.service.slot():
                await self._create(body, lane)
        except APIError as error:
            await self._tell(error, lane)

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

        service = self._responses.service
        stream = Stream(open, self._emit, turn.events.beat, service.settings.keep_alive)
        try:
            try:
                await turn.generation.run(turn.events, stream.write)
                last = turn.events.closing(turn.generation)
            except ClientLeft:
                raise
            except asyncio.CancelledError:
                turn.events.cancelled()
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- a model may raise anything; answerable() logs
                answer = service.answerable(error, turn.model)
                await stream.settle()
                if not stream.opened:
                    await self._tell(answer, lane)
                    return
                last = turn.events.failure(answer)
            for frame in last:
                await stream.write(frame)
        except ClientLeft:
            log.debug("The client left during %s", turn.id)
        finally:
            stream.drop()

    async def _tell(self, error: PorticoError, lane: str | None) -> None:
        event: dict[str, Any] = {"type": "error", "status": error.status, "error": error_object(error)}
        if lane is not None:
            event["stream_id"] = lane
        await self._emit(compact(event).encode("ascii"))

    async def _emit(self, frame: bytes) -> None:
        await self._send({"type": "websocket.send", "text": frame.decode("ascii")})
