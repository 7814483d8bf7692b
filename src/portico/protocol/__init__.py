"""The link protocol, sans-I/O: bytes in, events out, and the other way round.

Its surface:

- `connection`: one end of a link, and all that its owner has to know.
- `events`: what a connection tells its owner.
- `frames`: the wire format.
- `handshake`: the frames in JSON: HELLO, WELCOME, REGISTER. `offer`: what REGISTER says of a service's tools and
  capabilities.
- `control`: the reserved name by which a hub asks its provider something.

What a connection is made of:

- `receiver`: bytes become events. `outbox`: what waits to be sent, and in which order.
- `stream`: the transition tables of one stream. `streams`: the streams of one link, for both halves.
- `flow_control`: windows and credit.
- `lifecycle`: how far the link has come: handshake, pings, silence, end.

Not here: asyncio, sockets, threads, clocks (time is an argument, in seconds of any monotonic clock), what an app is,
who may publish. Standard library only.

docs/protocol.md describes the wire format for those who write another implementation.
"""

from portico.protocol.connection import Connection, Role
from portico.protocol.flow_control import Limits
from portico.protocol.frames import SUBPROTOCOL, Kind, ResetCode

__all__ = ["SUBPROTOCOL", "Connection", "Kind", "Limits", "ResetCode", "Role"]
