"""Bounds what the ``websockets`` library's protocol object holds, at both ends. It has no public calls for that.

The library keeps a message until it is whole, and answers each ping at once. Neither may cost more than is meant.
"""

from __future__ import annotations

from websockets.protocol import Protocol

MOST_UNREAD = 64 * 1024
"""Bytes of pongs that may wait beyond a full buffer; then the other end is not reading, and is cut off. Who reads sends
a ping every few seconds, of a few bytes."""


def limit_messages(protocol: Protocol, most: int) -> None:
    """Take no message of more than *most* bytes from the next frame on: it fails with 1009, by its frame's header."""
    # the library's name for it before version 16 was another
    setattr(protocol, "max_message_size" if hasattr(protocol, "max_message_size") else "max_size", most)


def unparsed(protocol: Protocol) -> int:
    """Bytes that came of a frame which is not whole."""
    return len(protocol.reader.buffer)


def forget(protocol: Protocol) -> None:
    """Let go of what came of a frame which is not whole: the connection is gone.

    The library's objects refer to each other in a circle, so their memory would wait for the garbage collector.
    """
    protocol.reader.discard()
