"""The link protocol, sans-I/O: bytes in, events out, and the other way round.

What belongs here: frames, events, the stream's transition tables, flow control, the handshake, and one `Connection`
that ties them together. What does not: asyncio, sockets, threads, clocks (time is an argument, in seconds of any
monotonic clock), what an app is, who may publish. Standard library only.

docs/protocol.md describes the wire format for those who write another implementation.
"""

from portico.protocol.connection import Connection, Role
from portico.protocol.flow_control import Limits
from portico.protocol.frames import SUBPROTOCOL, Kind, ResetCode

__all__ = ["SUBPROTOCOL", "Connection", "Kind", "Limits", "ResetCode", "Role"]
