"""A link's life: HELLO, WELCOME, GOAWAY, the end; and the time in it: the handshake's, pings, silence.

::

    NEW ──HELLO──> INTRODUCED ──WELCOME──> READY ──GOAWAY, either way──> GOING AWAY ──> CLOSED

What each end said of itself is kept here (`peer`). What streams do is not. How long anything may take is in
`portico.protocol.flow_control.Limits`.
"""

from __future__ import annotations

from portico.errors import RemoteProtocolError
from portico.protocol import frames
from portico.protocol.events import Event, Stalled
from portico.protocol.flow_control import Limits
from portico.protocol.frames import ResetCode
from portico.protocol.handshake import PeerSettings
from portico.protocol.outbox import Outbox


class Lifecycle:
    """How far the link has come."""

    __slots__ = (
        "_asked",
        "_early",
        "_last_ping",
        "_limits",
        "_outbox",
        "_stalled",
        "_started",
        "closed",
        "going_away",
        "introduced",
        "is_hub",
        "last_received",
        "peer",
        "said_goaway",
        "welcomed",
    )

    def __init__(self, is_hub: bool, limits: Limits, outbox: Outbox, now: float) -> None:
        self.is_hub = is_hub
        self._limits = limits
        self._outbox = outbox
        self.introduced = False
        """Whether HELLO was sent, or came."""
        self.welcomed = False
        """Whether WELCOME was sent, or came."""
        self.peer: PeerSettings | None = None
        self.going_away = False
        """Whether either end said GOAWAY."""
        self.said_goaway = False
        """Whether this end did."""
        self.closed = False
        self._early = 0
        self._started = now
        self.last_received = now
        self._last_ping = now
        self._asked: float | None = None
        """When the first PING went out that nothing has come after; None if none did."""
        self._stalled = False

    def meet(self, peer: PeerSettings) -> None:
        """Keep to what the other end said of itself."""
        self.peer = peer
        outbox, limits = self._outbox, self._limits
        outbox.max_data = min(limits.max_data, peer.max_data)
        outbox.max_batch = min(limits.max_batch, peer.max_batch)
        outbox.link_credit = peer.link_window

    def go_away(self, last_stream: int, code: ResetCode, reason: str, retry_jitter: float = 0.0) -> None:
        self.going_away = True
        if not self.said_goaway:
            self.said_goaway = True
            self._outbox.control(frames.pack_goaway(last_stream, code, int(retry_jitter * 1000), reason))

    def received(self, size: int, now: float) -> bool:
        """Count a message of *size* bytes in. True if it ends what was told as `Stalled`."""
        self.last_received = now
        self._asked = None
        if size > self._limits.max_batch:
            raise RemoteProtocolError(f"a message of {size} bytes is longer than {self._limits.max_batch}")
        if not self.welcomed and self.is_hub:  # a provider has chosen its hub; a hub's callers are strangers
            self._early += size
            if self._early > self._limits.max_hello:
                raise RemoteProtocolError(
                    f"more than {self._limits.max_hello} bytes came before the handshake was done"
                )
        resumed, self._stalled = self._stalled, False
        return resumed

    def handle_timer(self, now: float) -> list[Event]:
        limits = self._limits
        if not self.welcomed:
            # once HELLO is here, how long the answer takes is the hub's own affair
            if not (self.is_hub and self.introduced) and now - self._started > limits.hello_timeout:
                raise RemoteProtocolError(
                    f"no {'HELLO' if self.is_hub else 'WELCOME'} within {limits.hello_timeout:g} s"
                )
            return []
        silence = now - self.last_received
        if silence < limits.ping_interval:
            return []
        if self._asked is None or now - self._last_ping >= limits.ping_interval:
            self._last_ping = now
            self._outbox.control(frames.pack(frames.PING, 0, 0, b"\0" * 8))
        if self._asked is None:
            self._asked = now
        elif not self._stalled and now - self._asked >= self._patience:
            self._stalled = True
            return [Stalled(silence)]
        return []

    @property
    def _patience(self) -> float:
        """Seconds that an answer may take: less than `Limits.pong_timeout` where a silent link is given up before."""
        limits = self._limits
        return min(limits.pong_timeout, max(limits.silence_timeout - limits.ping_interval, 0.0))
