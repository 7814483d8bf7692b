"""WebSocket frames that are read and written past the ``websockets`` library, for a third of what it costs.

Most messages are one frame, and most reads bring one. Such a read changes nothing in the library's state, so the
library need not see it: it stands between two frames before and after. All else is the library's to read: control
frames, fragments, what comes in parts or in numbers, what is too long, what is broken. And so for what is written.
"""

from __future__ import annotations

import secrets
import struct

from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where the library has it
from websockets.protocol import CLIENT, SERVER, Protocol, State
from websockets.streams import StreamReader

_BETWEEN_FRAMES = StreamReader.at_eof.__code__
"""Where the library's parser waits when no byte of the next frame has come."""

_TEXT, _BINARY = 0x81, 0x82  # the first byte of a whole message in one frame, without extensions (RFC 6455 §5.2)
_MASKED = 0x80
_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")


def read_whole(protocol: Protocol, data: bytes) -> tuple[bytes, bool] | None:
    """The message and whether it is text, if *data* is one frame that the library would take for just that message.

    None: the library is to read *data*. Text is not looked at: whether it is UTF-8 is for the caller to see.
    """
    size = len(data) - 2
    if size < 0:
        return None
    first = data[0]
    if first != _BINARY and first != _TEXT:
        return None
    length, start = data[1], 2
    masked = length & _MASKED
    length &= 0x7F
    if length > 125:
        if length == 126 and size >= 2:
            length, start = int.from_bytes(data[2:4]), 4
        elif length == 127 and size >= 8:
            length, start = int.from_bytes(data[2:10]), 10
        else:
            return None
    if masked:
        start += 4
    if start + length != size + 2 or bool(masked) is not (protocol.side is SERVER):
        return None
    if not _stands_between_frames(protocol, length):
        return None
    if masked:
        return apply_mask(data[start:], data[start - 4 : start]), first == _TEXT
    return data[start:], first == _TEXT


def _stands_between_frames(protocol: Protocol, length: int) -> bool:
    """Whether the library waits for a first frame of a message, which may have *length* bytes."""
    try:
        most = protocol.max_message_size
        return (
            protocol.parser.gi_yieldfrom.gi_yieldfrom.gi_code is _BETWEEN_FRAMES  # type: ignore[attr-defined]
            and not protocol.reader.buffer
            and protocol.current_size is None
            and protocol.state is State.OPEN
            and not protocol.extensions
            and protocol.max_fragment_size is None
            and (most is None or length <= most)
        )
    except AttributeError:  # the handshake is not over, it reads no more, or another version: it keeps this elsewhere
        return False


def written_whole(protocol: Protocol, data: bytes, *, text: bool = False) -> bytes | None:
    """A message as one frame to be written; None: the library is to write it. *text* is UTF-8 already."""
    if (
        protocol.state is not State.OPEN
        or protocol.writes
        or protocol.extensions
        or getattr(protocol, "expect_continuation_frame", True)
    ):
        return None
    first, size = _TEXT if text else _BINARY, len(data)
    mask = _MASKED if protocol.side is CLIENT else 0
    if size < 126:
        head = _SHORT.pack(first, mask | size)
    elif size < 65536:
        head = _MEDIUM.pack(first, mask | 126, size)
    else:
        head = _LONG.pack(first, mask | 127, size)
    if mask:
        key = secrets.token_bytes(4)  # unpredictable (RFC 6455 §5.3)
        return b"".join((head, key, apply_mask(data, key)))
    return head + data
