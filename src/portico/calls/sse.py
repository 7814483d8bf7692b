"""A stream of server-sent events over ASGI: its head, its frames, and signs of life while the model is silent.

Here: how and when frames go out. What is in them is the business of each endpoint's writer. Source of the format:
WHATWG HTML §9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable
from json.encoder import encode_basestring_ascii
from typing import Any

from portico.calls.run import TURN
from portico.errors import UnusableOutput

log = logging.getLogger(__name__)

DONE = b"data: [DONE]\n\n"

_SURROGATE = re.compile("[\ud800-\udfff]")


class ClientLeft(Exception):
    """The server cannot write any more, as the client has gone."""


def quoted(text: str) -> str:
    """*text* as a JSON string, in ASCII: some clients split lines at U+2028 or U+0085.

    A lone surrogate, which no strict parser takes, becomes U+FFFD.
    """
    if not text.isascii() and _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return encode_basestring_ascii(text)


_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)")


def compact(value: Any) -> str:
    """*value* as JSON in ASCII, without spaces. Raises `UnusableOutput` for what JSON does not know."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutput("The model gave a value that cannot be written as JSON.") from error
    if "\\ud" in text:
        return _ESCAPE.sub(lambda match: "\\ufffd" if match[1] else match[0], text)
    return text


def data(value: Any) -> bytes:
    """One event without a name, whose data is *value* as JSON."""
    return f"data: {compact(value)}\n\n".encode("ascii")


class Stream:
    """Writes frames one at a time by *emit*; before the first one, *open* is awaited.

    While nothing is written for *interval* seconds, it opens and writes the frame that *beat* gives, again and
    again. `write` may wait, which is the model's backpressure; it raises `ClientLeft` if *emit* raises `OSError`.
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
