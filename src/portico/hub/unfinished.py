"""What all visitors' WebSockets of an edge hold of messages whose end has not come.

Such a message may be long, and need never end. Short ones are let be. What the longer ones hold together is bounded:
beyond it only the oldest is read on, so that one after the other comes to its end, and one that does not is cut while
others wait. Nobody is refused for what others do.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

FREE = 64 * 1024
"""Bytes that each may hold without being counted: as much as one DATA frame of the link."""

MOST = 8 * 1024 * 1024
"""Bytes of all others together before only the oldest is read on; with that one, 24 MiB at most."""

PATIENCE = 20.0
"""Seconds that the oldest has while others wait for it: 16 MiB at 7 Mbit/s."""


class Holder(Protocol):
    """A visitor's WebSocket."""

    def read_on(self) -> None:
        """There is room again, after `Unfinished.hold` said that there was none."""

    def cut_off(self) -> None:
        """Others wait, and the message does not come to its end: close (1013)."""


class Unfinished:
    """The messages of one edge, the oldest first. To be called on the event loop."""

    def __init__(self, most: int = MOST, patience: float = PATIENCE) -> None:
        self._most = most
        self._patience = patience
        self._held: dict[Holder, int] = {}
        self._waiting: dict[Holder, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.total = 0
        """Bytes that are held, of what counts."""

    def hold(self, holder: Holder, size: int) -> bool:
        """*holder* has *size* bytes of a message that has not ended; 0 if there is none.

        False: it must read no more until it is told to `Holder.read_on`.
        """
        before = self._held.get(holder, 0)
        if size <= FREE:
            if before:
                self.free(holder)
            return True
        self._held[holder] = size
        self.total += size - before
        if self.total <= self._most or next(iter(self._held)) is holder:
            return True
        self._waiting[holder] = None
        if self._timer is None:
            self._watch()
        return False

    def free(self, holder: Holder) -> None:
        """The message of *holder* has ended, or its connection."""
        self._waiting.pop(holder, None)
        size = self._held.pop(holder, 0)
        if not size:
            return
        self.total -= size
        if not self._waiting:
            return
        oldest = next(iter(self._held))
        for waiting in tuple(self._waiting):
            if waiting is oldest or self.total <= self._most:
                del self._waiting[waiting]
                waiting.read_on()

    def _watch(self) -> None:
        oldest = next(iter(self._held))
        self._timer = asyncio.get_running_loop().call_later(self._patience, self._look, oldest)

    def _look(self, oldest: Holder) -> None:
        self._timer = None
        if self._waiting and next(iter(self._held)) is oldest:
            oldest.cut_off()
            self.free(oldest)
        if self._waiting:
            self._watch()
