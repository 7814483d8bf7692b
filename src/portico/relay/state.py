"""What the rooms of a relay share, so that none of them imports the relay, which is put together of them.

Who only needs one of these things is handed that one.
"""

from __future__ import annotations

from typing import Protocol

from portico.hub.links import Links
from portico.hub.visits import Visits
from portico.relay.config import RelayConfig
from portico.relay.counters import Counters
from portico.relay.people.accounts import Accounts
from portico.relay.people.doorway import Doorway
from portico.relay.people.tokens import TokenRing
from portico.relay.store import RelayStore
from portico.relay.workspaces import Workspaces


class VisitLog(Protocol):
    """Where a line is written about each visit that is over: `portico.relay.operate.log.AccessLog`."""

    def add(
        self,
        method: str,
        host: str,
        path: bytes,
        status: int,
        seconds: float,
        workspace: str,
        service: str,
        client: str,
        number: int,
    ) -> None:
        """*path* is raw, without its query; *status* 0 where the visitor left before there was one; *number* is of
        `portico.hub.visits.next_number`."""

    def flush(self) -> None:
        """Write what waits."""


class RelayState:
    """Its settings, its counts and what it is about to do; once it has started, its people and its tenants too."""

    store: RelayStore
    accounts: Accounts
    tokens: TokenRing
    doorway: Doorway
    workspaces: Workspaces

    def __init__(self, config: RelayConfig) -> None:
        self.config = config
        self.counters = Counters()
        self.visits = Visits()
        """Of all workspaces."""
        self.ready = False
        """Whether new visitors and providers should be sent here (``/readyz``)."""
        self.leaving = False
        """Whether it drains, and will stop."""
        self.access: VisitLog | None = None
        """The access log; None where an ASGI server keeps one, or nobody reads it."""
        self.dates = False
        """Whether Date headers are left to the relay; an ASGI server writes them by itself (RFC 9110 §6.6.1)."""
        self.framed = False
        """Whether the server holds requests to `relay.edge.framing`; with another ASGI server the relay does."""

    @property
    def links(self) -> Links:
        return self.workspaces.links
