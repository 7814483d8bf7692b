"""Where calls of one function wait for their turn, if only so many may run at a time.

First come, first served. A turn lasts until the function's code has ended, wherever it runs: a thread that goes on
after its caller left still has its turn. Where as many may run as come, such threads are counted all the same.
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

MOST_LEFT = 100
"""Threads that go on after their callers left, where nothing else bounds them: nobody else could stop their coming."""


class CallLine:
    """The line of one function. May be used from several event loops."""

    def __init__(self, most: int | None = None) -> None:
        """At most *most* calls run at a time; None for as many as come."""
        self.most = most
        self.running = 0
        """Calls that have a turn, where they are bounded."""
        self.left = 0
        """Threads that go on after their callers left, where calls are not bounded."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lock: AbstractContextManager[object] = threading.Lock() if THREADS else nullcontext()

    @property
    def waiting(self) -> int:
        """Calls that wait now."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Wait for a turn, and take it; each turn is ended by `leave`. Raises `Busy` if too many wait already."""
        with self._lock:
            if self.most is None:
                self._check()
                return
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

    def _check(self) -> None:
        if self.left >= MOST_LEFT:
            raise Busy(f"{self.left} calls still run whose callers have left.")

    def leave(self) -> None:
        """End a turn; whoever came first has the next. May be called from any thread."""
        with self._lock:
            if self.most is not None:
                self.running -= 1
                self._go_on()

    def count_left(self, more: int) -> None:
        """So many *more* threads go on after their callers left. May be called from any thread."""
        with self._lock:
            self.left += more

    def resize(self, most: int) -> None:
        """Let *most* calls run at a time from now on. Those that run go on."""
        with self._lock:
            self.most = most
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self.most is not None and self.running < self.most:
            turn = self._waiting.popleft()
            try:
                turn.get_loop().call_soon_threadsafe(_give, turn)
            except RuntimeError:  # its loop is closed, so nobody waits
                continue
            self.running += 1


def _give(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
