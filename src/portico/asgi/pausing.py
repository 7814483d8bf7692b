"""Where an app's sends wait: for a visitor who reads too slowly, or while the event loop does what else there is.

Apps send from several tasks at a time, and some write one message of theirs as several of the WebSocket's. Under
uvicorn `send` seldom waits, so what one task sends without waiting in between stays together. That is kept: while one
send waits, those of other tasks stand in line behind it, and its task goes on first.
"""

from __future__ import annotations

import asyncio


class Pausing:
    """The pauses of one exchange: at most one at a time."""

    __slots__ = ("_drain", "_line", "on")

    def __init__(self) -> None:
        self.on = False
        """Whether a send waits: others await `over` first."""
        self._drain: asyncio.Future[None] | None = None
        self._line: list[asyncio.Future[None]] = []

    async def for_a_turn(self) -> None:
        """Let the event loop do what else there is."""
        self.on = True
        try:
            await asyncio.sleep(0)
        finally:
            self._end()

    async def until_writable(self) -> None:
        """Wait for `writable`."""
        self.on = True
        self._drain = asyncio.get_running_loop().create_future()
        try:
            await self._drain
        finally:
            self._drain = None
            self._end()

    def writable(self) -> None:
        """More may be sent, or the visitor has left."""
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    async def over(self) -> None:
        """Wait until no send waits, after those that came before."""
        while self.on:
            place = asyncio.get_running_loop().create_future()
            self._line.append(place)
            await place

    def _end(self) -> None:
        self.on = False
        line, self._line = self._line, []
        for place in line:
            if not place.done():
                place.set_result(None)


def wait_beside(before: asyncio.Future[None] | None, now: asyncio.Future[None]) -> None:
    """Have *before*, which another task awaits in the same place, woken when *now* is: it looks again for itself."""
    if before is None or before.done():
        return

    def wake(_: object) -> None:
        if not before.done():
            before.set_result(None)

    now.add_done_callback(wake)
