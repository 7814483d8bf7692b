"""Server-sent events as MCP has them: each holds one JSON-RPC message (WHATWG HTML §9.2)."""

from __future__ import annotations

from typing import Any, Final

from portico.hub.tools.messages import dumps
from portico.types import Headers

EVENTS: Final[Headers] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx must not hold events back
    (b"x-content-type-options", b"nosniff"),
]
BEAT: Final = b": still here\n\n"
"""A comment, which keeps proxies from ending a silent stream."""
BEAT_EVERY: Final = 15.0
"""Seconds: proxies end what was silent for a minute, some for 30 s."""


_A_PIECE = 64  # bytes that each piece of an event takes besides its own: it may be cut as fine as a sender likes


class EventTooLong(Exception):
    """A stream of events holds one that is longer than is read."""


def event(message: dict[str, Any]) -> bytes:
    return b"event: message\ndata: " + dumps(message) + b"\n\n"


class EventReader:
    """Takes a stream of events apart. Feed it bytes as they come."""

    __slots__ = ("_data", "_kept", "_line", "_most", "_pending", "_was_return")

    def __init__(self, most: int) -> None:
        """*most*: bytes of one event."""
        self._most = most
        self._line: list[bytes] = []
        """The pieces of the line that is not whole."""
        self._data: list[bytes] = []
        self._pending = 0
        """Bytes of that line."""
        self._kept = 0
        """Bytes of the event's data."""
        self._was_return = False

    @property
    def held(self) -> int:
        """Bytes of the event that is not whole."""
        return self._pending + self._kept

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of each event that is whole now. Raises `EventTooLong`."""
        if self._was_return and piece:  # a line may end with both, in two pieces
            self._was_return = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._was_return = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = piece.split(b"\n")
        found: list[bytes] = []
        for line in lines:
            self._line.append(line)
            self._whole_line(b"".join(self._line), found)
            self._line.clear()
            self._pending = 0
        if rest:
            self._line.append(rest)
            self._pending += len(rest) + _A_PIECE
        if self.held > self._most:
            raise EventTooLong
        return found

    def _whole_line(self, line: bytes, found: list[bytes]) -> None:
        if not line:
            if self._data:
                found.append(b"\n".join(self._data))
            self._data.clear()
            self._kept = 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._kept += len(value) + _A_PIECE
            if self._kept > self._most:
                raise EventTooLong
