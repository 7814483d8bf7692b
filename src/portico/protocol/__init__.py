"""The link protocol, sans-I/O: bytes in, events out, and the other way round.

What belongs here: `frames` (the wire), `events`, `stream` (the transition tables), `flow_control`, `handshake`, `offer`
(what a service says of its tools and capabilities), `control` (by what name a hub asks), and one `connection`, which is
all of it to its owner. What that is made of: `receiver` (bytes become events), `outbox` (what waits to be sent),
`streams` (what the two share) and `lifecycle` (how far the link has come, and the time in it). What does not belong
here: asyncio, sockets, threads, clocks (time is an argument, in seconds of any monotonic clock), what an app is, who
may publish. Standard library only.

docs/protocol.md describes the wire format for those who write another implementation.
"""

from portico.protocol.connection import Connection, Role
from portico.protocol.flow_control import Limits
from portico.protocol.frames import SUBPROTOCOL, Kind, ResetCode

__all__ = ["SUBPROTOCOL", "Connection", "Kind", "Limits", "ResetCode", "Role"]
