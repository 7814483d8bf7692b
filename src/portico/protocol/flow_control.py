"""How many bytes may be under way: the window of one stream in one direction, and `Limits`, all the numbers of a link.

Two rules make the whole. A stream's credit goes back when its bytes are *consumed*, the link's as soon as they are
demultiplexed. A receiving window grows while its reader keeps up, as far as the link's shared allowance lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from portico.errors import InvalidOption

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one link. Sizes in bytes, times in seconds."""

    max_data: int = 64 * KIB
    """Payload of one DATA frame: what one stream may send before the next has its turn."""
    max_batch: int = 256 * KIB
    """One message of the transport: big enough to make small frames cheap, small enough to let others in."""
    max_header_block: int = 64 * KIB
    stream_window: int = 256 * KIB
    """What a stream may hold unread at first; guaranteed to each admitted stream."""
    max_stream_window: int = 4 * MIB
    """80 MB/s at a round trip of 50 ms."""
    link_window: int = 16 * MIB
    """On the way and not yet demultiplexed. A browser's WebSocket has no backpressure but this."""
    max_held: int = 64 * MIB
    """What a link's streams hold together. Windows grow by this much in all; beyond it, new streams are refused."""
    max_streams: int = 4096
    max_control: int = 4 * MIB
    """Control frames that wait to be written; more, and the other end is not reading."""
    max_control_frame: int = 64 * KIB
    max_hello: int = 8 * KIB
    """All that may come before HELLO is known."""
    hello_timeout: float = 5.0
    ping_interval: float = 15.0
    """Silence after which a PING is sent: below the 20 to 60 s at which proxies and NATs drop idle connections."""
    pong_timeout: float = 5.0
    silence_timeout: float = 45.0
    """Silence after which an end that has nobody else to ask gives the link up: three pings' worth."""
    queue_high: int = 256 * KIB
    """A stream with more than this waiting to be sent is not writable: one batch's worth."""
    queue_low: int = 64 * KIB

    def __post_init__(self) -> None:
        for name, (low, high) in ANNOUNCED.items():
            if not low <= getattr(self, name) <= high:
                raise InvalidOption(f"the limit {name} must be from {low} to {high}, not {getattr(self, name)}")


# What an end may announce of its limits. Below, the link would crawl; above, it would hold what no end should. A header
# block or a control frame must fit the smallest batch.
ANNOUNCED = {
    "max_data": (KIB, 16 * MIB),
    "max_batch": (256 * KIB, 64 * MIB),
    "max_header_block": (4 * KIB, 192 * KIB),
    "max_control_frame": (4 * KIB, 192 * KIB),
    "stream_window": (KIB, 64 * MIB),
    "link_window": (64 * KIB, 1024 * MIB),
    "max_streams": (1, 1_000_000),
}

MESSAGE_OVERHEAD = 64
"""Bytes that each DATA frame of a WebSocket takes from the stream's window besides its payload: about what a message
costs its reader to keep. Else empty messages, which take no credit, could wait without bound."""

GROW_WITHIN = 0.2
"""Seconds. A reader that uses up half a window in less is being held back on any path up to 0.2 s long."""


class ReceiveWindow:
    """What the other end may still send on one stream.

    ``held`` is what came and is not consumed. It never exceeds ``size`` and ``lent`` together: `received` says so when
    it would.
    """

    __slots__ = ("credit", "held", "lent", "overhead", "owed", "since", "size")

    def __init__(self, size: int, now: float) -> None:
        self.size = size
        self.credit = size
        self.held = 0
        self.overhead = 0
        """Taken from the window by what is held, besides its bytes."""
        self.owed = 0
        """Consumed, and not yet given back."""
        self.lent = 0
        """By how much the window is wider while a message is longer than it."""
        self.since = now
        """When credit was last given back."""

    def received(self, count: int, overhead: int) -> bool:
        """Count *count* bytes and their *overhead* in, or return False if the window does not allow them."""
        if count + overhead > self.credit:
            return False
        self.credit -= count + overhead
        self.held += count
        self.overhead += overhead
        return True

    def consumed(self, count: int, now: float, maximum: int, allowance: int) -> tuple[int, int]:
        """Count *count* bytes out, with their share of the overhead.

        Returns the credit to give back now (0 while it is not worth a frame), and by how much of *allowance* the
        window grew towards *maximum*.
        """
        freed = count
        if self.overhead:
            share = self.overhead if count == self.held else self.overhead * count // self.held
            self.overhead -= share
            freed += share
        self.held -= count
        if self.lent:  # it shrinks again before anything is given back
            repaid = min(self.lent, freed)
            self.lent -= repaid
            freed -= repaid
        self.owed += freed
        if self.owed * 2 < self.size:
            return 0, 0
        growth = 0
        if now - self.since < GROW_WITHIN and self.size < maximum:
            growth = min(self.size, maximum - self.size, allowance)
        credit = self.owed + growth
        self.size += growth
        self.credit += credit
        self.owed = 0
        self.since = now
        return credit, growth

    def keep(self, count: int, overhead: int) -> int:
        """Let as much more come as *count* bytes that stay held, and as the *overhead* of their frames, which does not.

        Returns the credit to give back now (0 while it is not worth a frame).
        """
        overhead = min(overhead, self.overhead)
        self.overhead -= overhead
        self.lent += count
        self.owed += count + overhead
        if self.owed * 2 < self.size:
            return 0
        credit, self.owed = self.owed, 0
        self.credit += credit
        return credit
