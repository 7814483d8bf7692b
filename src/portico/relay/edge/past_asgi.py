"""What the relay's own server and the edge know of each other past ASGI. Other ASGI servers have none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from portico.hub.forward import Admission
from portico.hub.request import VisitorRequest
from portico.hub.responders import Responder
from portico.hub.visits import Visit
from portico.relay.edge.routes import Location

OWN_MESSAGES = "portico.own_messages"
"""The name of an ASGI extension of a WebSocket's scope: an `OwnSocket`."""


LET_IN = "portico.let_in"
"""The same of a request's scope: an `OwnLetIn`."""

OwnLetIn = tuple[Visit, Admission | None]
"""A request that has passed the gate, and has to wait (`OwnResponder.let_in`): it is not to pass, nor count, twice."""


class OwnSocket(Protocol):
    """A WebSocket, as the relay's own server knows it."""

    def hand_over(self, take: Callable[[bytes], None]) -> Callable[[int], None]:
        """Give each binary message to *take*. Returns what is told how long a message may be; with other servers as
        long as they are set to."""

    def say(self, data: bytes, *, text: bool = False) -> bool:
        """Send a message now; *text* is UTF-8. False: nothing was sent, and it is to go by ASGI's ``send``."""


OwnRequest = tuple[VisitorRequest, Location]
"""A request that a server has read by itself, and where it goes (`portico.relay.edge.edge.RelayEdge.read`)."""


class OwnConnection(Protocol):
    """A visitor's connection, as a server knows it."""

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    scheme: Literal["http", "https"] | None
    caller: str
    """`VisitorRequest.caller` of its requests, where no proxy says whose they are."""


class OwnResponder(Responder, Protocol):
    """A server's own way of answering, past ASGI (`portico.relay.edge.edge.RelayEdge.begin`)."""

    visit: Visit | None
    """Set before anything is answered."""
    let_in: OwnLetIn | None
    """Set where the request has to wait, and its visitor was let in: to be in the scope that it goes on with."""
