"""Keeps the events of a response that is made in the background, for clients that come, or come back, later.

Here: one recording, and sending it to one client from any place, up to its end and as it grows. Source: OpenAI API
reference, "Retrieve a model response", ``stream`` and ``starting_after``; its guide on background mode.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable

from portico.calls.exchange import Exchange
from portico.calls.iterating import TURN
from portico.calls.sse import STREAM_HEADERS, AnswerStream, ClientLeft
from portico.errors import UnusableOutput
from portico.models.wire import DONE

log = logging.getLogger(__name__)


class Tape:
    """The frames of one response: the place of each is its ``sequence_number``. At most about *limit* bytes."""

    def __init__(self, opening: Iterable[bytes], limit: int) -> None:
        self.frames = list(opening)
        self.size = sum(map(len, self.frames))
        self.ended = False
        self._limit = limit
        self._grown: asyncio.Event | None = None
        self._turned = time.monotonic()

    async def write(self, frame: bytes) -> None:
        """Record a frame. It yields to the loop every `TURN`. Raises `UnusableOutput` where the tape is full."""
        if self.size > self._limit:
            raise UnusableOutput(f"The model gave more than the {self._limit} bytes that are kept of a response.")
        self._add(frame)
        if time.monotonic() - self._turned > TURN:
            await asyncio.sleep(0)
            self._turned = time.monotonic()

    def end(self, frames: Iterable[bytes]) -> None:
        """Record the last frames."""
        for frame in frames:
            self._add(frame)
        self.ended = True
        self._tell()

    async def play(self, exchange: Exchange, start: int, keep_alive: float) -> None:
        """Send what is recorded, and what still comes, from the event with the number *start* on.

        While nothing comes for *keep_alive* seconds, ``response.in_progress`` goes out under the number of the event
        before, so that a client can go on after whatever number it has seen last.
        """
        place = start

        def beat() -> bytes:
            event = json.loads(self.frames[1].partition(b"data: ")[2])
            event["sequence_number"] = place - 1
            body = json.dumps(event, separators=(",", ":"))
            return f"event: response.in_progress\ndata: {body}\n\n".encode("ascii")

        async def open() -> None:
            """The head is out already."""

        stream = None
        try:
            await exchange.head(200, STREAM_HEADERS)
            stream = AnswerStream(open, exchange.frame, beat, keep_alive)
            while True:
                while place < len(self.frames):
                    place += 1
                    await stream.write(self.frames[place - 1])
                if self.ended:
                    break
                if self._grown is None:
                    self._grown = asyncio.Event()
                await self._grown.wait()
            await stream.settle()
            await exchange.end(DONE)
        except (ClientLeft, OSError):
            log.debug("The client left while %s was streaming", exchange.id)
        finally:
            if stream is not None:
                stream.drop()

    def _add(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.size += len(frame)
        self._tell()

    def _tell(self) -> None:
        if self._grown is not None:
            self._grown.set()
            self._grown = None
