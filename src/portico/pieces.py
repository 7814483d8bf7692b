"""The part of a message that has come so far.

Pieces are kept as they come, but small ones are put together: empty ones cost nothing, and none costs much more than
its bytes. One buffer that grows with each piece would leave a trail of outgrown ones in the process's memory.
"""

from __future__ import annotations

_SMALL = 4096  # bytes below which a piece is copied; an object and its place in a list cost about 60
_TOGETHER = 64 * 1024  # bytes of small ones that become one piece


class Pieces:
    """The pieces of one message at a time. ``size`` is in bytes, ``begun`` also after an empty piece."""

    __slots__ = ("_parts", "_small", "begun", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._small = bytearray()
        self.size = 0
        self.begun = False

    def add(self, piece: bytes) -> None:
        self.begun = True
        self.size += len(piece)
        if len(piece) < _SMALL:
            self._small += piece
            if len(self._small) < _TOGETHER:
                return
            piece = b""
        if self._small:
            self._parts.append(bytes(self._small))
            self._small = bytearray()
        if piece:
            self._parts.append(piece)

    def take(self) -> bytes:
        """The whole; there is nothing here afterwards."""
        whole = b"".join((*self._parts, self._small))
        self.clear()
        return whole

    def clear(self) -> None:
        self._parts, self._small, self.size, self.begun = [], bytearray(), 0, False
