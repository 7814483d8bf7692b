"""Where calls of one function wait for their turn, if only so many may run at a time.

First come, first served. A turn lasts until the function's code has ended, wherever it runs: a thread that goes on
after its caller left still has its turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AbstractContextManager, nullcontext

from portico.calls.run import THREADS
from portico.errors import Busy

if THREADS:
    import threading

MOST_WAITING = 100
"""Calls that wait at most: one that came after so many would be given up before its turn."""


class CallLine:
    """The line of one function. May be used from several event loops."""

    def __init__(self, most: int) -> None:
        """At most *most* calls run at a time."""
        self.most = most
        self.running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lock: AbstractContextManager[object] = threading.Lock() if THREADS else nullcontext()

    @property
    def waiting(self) -> int:
        """Calls that wait now."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Wait for a turn, and take it; each turn is ended by `leave`. Raises `Busy` if too many wait already."""
        with self._lock:
            if self.running < self.most:
                self.running += 1
                return
            if len(self._waiting) >= MOST_WAITING:
                raise Busy(f"{MOST_WAITING} calls wait for their turn already, and {self.most} may run at a time.")
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                try:
                    self._waiting.remove(turn)
                    has_turn = False
                except ValueError:  # it was given its turn as it left
                    has_turn = True
            if has_turn:
                self.leave()
            raise

    def leave(self) -> None:
        """End a turn; whoever came first has the next. May be called from any thread."""
        with self._lock:
            self.running -= 1
            self._go_on()

    def resize(self, most: int) -> None:
        """Let *most* calls run at a time from now on. Those that run go on."""
        with self._lock:
            self.most = most
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self.running < self.most:
            turn = self._waiting.popleft()
            try:
                turn.get_loop().call_soon_threadsafe(_give, turn)
            except RuntimeError:  # its loop is closed, so nobody waits
                continue
            self.running += 1


def _give(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
