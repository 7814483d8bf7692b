"""What a `Connection` tells its owner. Frozen; one class a frame that means something to the owner.

Those of every request are named tuples, the others frozen dataclasses, which take four times as long to make.

Nothing here knows how a frame is packed, or what an owner does with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from portico.protocol.frames import Kind, ResetCode
from portico.types import Headers

# --- the link ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A provider introduces itself. The first frame of a link."""

    token: str
    """What proves that it may publish (never in a URL)."""
    session: str
    """128 random bits in hexadecimal that the provider keeps over reconnects: whoever knows it is the session."""
    epoch: int
    """Counts the session's links; an older one that comes late is not let in."""
    agent: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    """Who it is, for people: notebook path, pid, host."""
    features: tuple[str, ...] = ()
    """What this provider can do that not every one can, such as `portico.protocol.control.FEATURE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The hub lets a provider in."""

    base_url: str
    """Where the hub's services are: a service's URL starts with it. Ends with a slash."""
    agent: str = ""
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Register:
    """A provider wants to publish a service. To be answered with an ACK of the same *request* number."""

    request: int
    service: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unregister:
    request: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The answer to a REGISTER or UNREGISTER."""

    request: int
    ok: bool
    url: str = ""
    error: str = ""
    code: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAway:
    """The other end will take no new streams and wants the link closed."""

    last_stream: int
    code: ResetCode
    retry_jitter: float
    """Seconds within which, at random, to come back."""
    reason: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """A PING was not answered in time. The link may yet live (see `Resumed`)."""

    silence: float
    """Seconds since the last bytes came."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Bytes came after `Stalled`."""


# --- streams ----------------------------------------------------------------------------------------------------


class Open(NamedTuple):
    """A visitor's request (towards a provider)."""

    stream_id: int
    kind: Kind
    service: str
    method: str
    scheme: str
    http_version: str
    raw_path: bytes
    query: bytes
    root_path: str
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    subprotocols: tuple[str, ...]
    identity: bytes
    """JSON about the visitor, verified by the hub; opaque here."""
    headers: Headers
    fin: bool


class Head(NamedTuple):
    """A response's status and headers, or a WebSocket's acceptance (*accept*), or its denial response."""

    stream_id: int
    status: int
    headers: Headers
    accept: bool
    subprotocol: str
    fin: bool


class Data(NamedTuple):
    """Bytes of a body, or of a WebSocket message. ``Connection.consumed`` must be called once they are used up."""

    stream_id: int
    data: bytes
    fin: bool
    text: bool
    message_end: bool


@dataclass(frozen=True, slots=True)
class Close:
    """A WebSocket's close code and reason. The stream has ended."""

    stream_id: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reset:
    """The other end gave the stream up. The stream has ended."""

    stream_id: int
    code: ResetCode
    reason: str


LinkEvent = Hello | Welcome | Register | Unregister | Ack | GoAway | Stalled | Resumed
StreamEvent = Open | Head | Data | Close | Reset
Event = LinkEvent | StreamEvent
