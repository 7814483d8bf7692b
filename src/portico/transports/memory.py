"""A pair of transports within one event loop: what one sends the other receives, in a later turn of the loop."""

from __future__ import annotations

import asyncio
from collections import deque

from portico.transports.transport import LinkReceiver

_HIGH_WATER = 1024 * 1024  # bytes; about what a socket pair buffers


class MemoryTransport:
    """One end of a pair made by `pair`."""

    def __init__(self) -> None:
        self._peer: MemoryTransport = self
        self._receiver: LinkReceiver | None = None
        self._inbox: deque[bytes] = deque()
        self._size = 0
        self._scheduled = False
        self._full = False
        self._closing: str | None = None
        self._closed = False
        self.paused = False
        """Set it to hold deliveries to this end back, as a reader that does not read would; see `resume`."""

    @property
    def writable(self) -> bool:
        return self._peer._size < _HIGH_WATER and self._closing is None

    def start(self, receiver: LinkReceiver) -> None:
        self._receiver = receiver
        self._schedule()

    def allow(self, size: int) -> None:
        """Nothing to do: messages come whole, and are handed on as they are."""

    def send(self, message: bytes) -> None:
        peer = self._peer
        if self._closed or self._closing is not None or peer._closed:
            return
        peer._inbox.append(bytes(message))
        peer._size += len(message)
        peer._full = peer._full or peer._size >= _HIGH_WATER
        peer._schedule()

    def close(self, code: int = 1000, reason: str = "") -> None:
        for end in (self, self._peer):
            if end._closing is None:
                end._closing = f"closed ({code}) {reason}".rstrip()
                end._schedule()

    def cut(self, reason: str = "the connection was cut") -> None:
        """Close both ends at once; what is on the way is lost."""
        for end in (self, self._peer):
            end._inbox.clear()
            end._size = 0
            end._closing = reason
            end._schedule()

    def resume(self) -> None:
        self.paused = False
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._receiver is not None and not self._closed:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        receiver = self._receiver
        if receiver is None or self._closed:
            return
        if not self.paused or self._closing is not None:
            for _ in range(len(self._inbox)):
                if not self._inbox:  # cut by who was told
                    break
                message = self._inbox.popleft()
                self._size -= len(message)
                receiver.message_received(message)
                if self.paused and self._closing is None:
                    break
        if self._full and self._size < _HIGH_WATER:
            self._full = False
            if self._peer._receiver is not None and self._peer.writable:
                self._peer._receiver.transport_writable()
        if self._closing is not None and not self._inbox:
            self._closed = True
            receiver.transport_closed(self._closing)
        elif self._inbox and not self.paused:
            self._schedule()


def pair() -> tuple[MemoryTransport, MemoryTransport]:
    """Two connected transports."""
    left, right = MemoryTransport(), MemoryTransport()
    left._peer, right._peer = right, left
    return left, right
