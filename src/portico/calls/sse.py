"""An answer that is streamed: its head, its frames, signs of life while the function is silent, and every way it ends.

Here: how and when frames go out, as server-sent events over HTTP by `deliver`, or any other way by an `AnswerStream`.
Not here: what is in a frame, and how an error looks. Source of the format: WHATWG HTML §9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from portico.calls.exchange import Exchange
from portico.calls.iterating import TURN
from portico.calls.json_text import compact
from portico.errors import PorticoError
from portico.types import Headers

log = logging.getLogger(__name__)

STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx must not hold events back
]

Write = Callable[[bytes], Awaitable[None]]
"""Writes one frame. Waiting here is the function's backpressure. It yields to the loop every `TURN`."""


class ClientLeft(Exception):
    """The server cannot write any more, as the client has gone."""


def data(value: Any) -> bytes:
    """One event without a name, whose data is *value* as JSON."""
    return f"data: {compact(value)}\n\n".encode("ascii")


class Streamed(Protocol):
    """An answer that is still to be made, and how it is written. Each frame is one ``send``."""

    def opening(self) -> list[bytes]:
        """The frames before the first one that `make` writes."""

    async def make(self, write: Write) -> list[bytes]:
        """Make the answer, writing frames as they come. Returns the last ones, at least one."""

    def failed(self, error: BaseException) -> PorticoError:
        """What to tell the visitor of *error*, which left `make`; here its author is shown it."""

    async def refuse(self, error: PorticoError) -> None:
        """Answer with *error* alone, at its own status: nothing has gone out yet."""

    def failure(self, error: PorticoError) -> list[bytes]:
        """The frames that tell of *error* after the head has gone out, up to the end; at least one.

        Where no frame can tell it, this raises *error*: the answer is broken off, which visitors can tell from an end.
        """

    def beat(self) -> bytes:
        """A frame that says nothing, against timeouts."""


async def deliver(exchange: Exchange, answer: Streamed, interval: float, headers: Headers = STREAM_HEADERS) -> None:
    """Answer with a stream of events, or, with the *headers* of another media type, of what *answer* writes.

    The head goes out with the first frame, so a function that fails before it gives anything is answered with a
    status; after *interval* seconds without one it goes out all the same, and a sign of life with it.
    """

    async def open() -> None:
        await exchange.head(200, headers)
        for frame in answer.opening():
            await exchange.frame(frame)

    stream = AnswerStream(open, exchange.frame, answer.beat, interval)
    try:
        last = await stream.fill(answer)
        if last:
            for frame in last[:-1]:
                await stream.write(frame)
            await stream.settle()
            if not stream.opened:
                await open()
            await exchange.end(last[-1])
    except (ClientLeft, OSError):
        log.debug("The client left while %s was streaming", exchange.id)
    finally:
        stream.drop()


class AnswerStream:
    """Writes frames one at a time by *emit*; before the first one, *open* is awaited.

    While nothing is written for *interval* seconds, it opens and writes the frame that *beat* gives, again and again;
    never, where that is 0. `write` may wait, which is the function's backpressure; it raises `ClientLeft` if *emit*
    raises `OSError`. Made on the loop that it is used on; `drop` must be called in the end.
    """

    def __init__(
        self,
        open: Callable[[], Awaitable[None]],
        emit: Callable[[bytes], Awaitable[None]],
        beat: Callable[[], bytes],
        interval: float,
    ) -> None:
        self.opened = False
        self._open = open
        self._emit = emit
        self._beat = beat
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._last = self._turned = time.monotonic()
        self._beating: asyncio.Task[None] | None = None
        self._busy = False
        self._attention = True
        self._timer = self._loop.call_later(interval, self._silent) if interval > 0 else None

    async def write(self, frame: bytes) -> None:
        """Write one frame."""
        if self._attention:
            await self._attend()
        self._busy = True
        try:
            await self._emit(frame)
        except OSError as error:
            raise ClientLeft from error
        self._busy = False
        self._last = now = time.monotonic()
        if now - self._turned > TURN:
            await asyncio.sleep(0)
            self._turned = time.monotonic()

    async def fill(self, answer: Streamed) -> list[bytes]:
        """Have *answer* made. Returns the frames that end it, of whatever outcome; none if it was refused.

        Raises `ClientLeft`, and the cancellation of the task.
        """
        try:
            return await answer.make(self.write)
        except ClientLeft:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- user code may raise anything; failed() reports it
            told = answer.failed(error)
            await self.settle()
            if not self.opened:
                await answer.refuse(told)
                return []
            return answer.failure(told)

    async def settle(self) -> None:
        """Stop giving signs of life, and wait for one that is being written."""
        if self._timer is not None:
            self._timer.cancel()
        if self._beating is not None:
            beating, self._beating = self._beating, None
            await asyncio.wait([beating])

    def drop(self) -> None:
        """Stop giving signs of life at once, however things end."""
        if self._timer is not None:
            self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()

    async def _attend(self) -> None:
        if self._beating is not None:
            beating, self._beating = self._beating, None
            await asyncio.wait([beating])
        if not self.opened:
            self._busy = True
            await self._begin()
        self._attention = False

    async def _begin(self) -> None:
        self.opened = True
        try:
            await self._open()
        except OSError as error:
            raise ClientLeft from error

    def _silent(self) -> None:
        silence = 0.0 if self._busy else time.monotonic() - self._last
        if silence < self._interval:
            self._timer = self._loop.call_later(self._interval - silence, self._silent)
            return
        self._timer = self._loop.call_later(self._interval, self._silent)
        if self._beating is None or self._beating.done():
            self._attention = True
            self._beating = self._loop.create_task(self._give_sign())

    async def _give_sign(self) -> None:
        try:
            if not self.opened:
                await self._begin()
            await self._emit(self._beat())
        except (OSError, ClientLeft):
            log.debug("The client left during a keep-alive")
