"""Services, the replicas that answer for each, and the sessions of the providers that published them.

What one of them knows of itself is here. Who may have which name is decided by the `registry`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portico import foreign
from portico.hub.descriptor import Descriptor, Principal
from portico.link import Link

_MAX_INFO = 500  # characters of what a provider says of itself that others are shown


def _shown(value: object) -> str:
    """What a provider says of itself. It may say anything: what is nested is not walked through."""
    return foreign.text(value, _MAX_INFO) if isinstance(value, (str, int, float)) else ""


@dataclass(eq=False, slots=True)
class Session:
    """A provider's standing: who it is, its link while there is one, and what it published."""

    id: str
    principal: Principal
    info: dict[str, Any]
    link: Link | None
    epoch: int
    stalled: bool = False
    lost_at: float | None = None
    services: set[str] = field(default_factory=set)
    callers: dict[str, int] = field(default_factory=dict)
    """How many streams each caller (`VisitorRequest.caller`) has on its links."""
    holding: Callable[[], None] | None = None
    """Ends what holds it while it has no link (`portico.hub.links`)."""

    def let_go(self) -> None:
        """It is held no more: its provider is back, or it is dropped."""
        holding, self.holding = self.holding, None
        if holding is not None:
            holding()

    @property
    def holder(self) -> dict[str, str]:
        """Who holds a name, for the one who was refused it, and for lists."""
        known = {key: _shown(self.info.get(key)) for key in ("notebook", "host", "pid", "kind")}
        return {"kernel_id": self.principal.kernel_id, **known}


@dataclass(eq=False, slots=True)
class Replica:
    """One session's registration of a service."""

    session: Session
    in_flight: int = 0
    requests: int = 0
    last_turn: int = 0
    """Which request of the service was its newest."""

    def begin(self, caller: str) -> None:
        """One more request of *caller* is under way; "" counts for nobody."""
        self.in_flight += 1
        if caller:
            callers = self.session.callers
            callers[caller] = callers.get(caller, 0) + 1

    def end(self, caller: str) -> None:
        self.in_flight -= 1
        if caller:
            callers = self.session.callers
            left = callers[caller] - 1
            if left:
                callers[caller] = left
            else:
                del callers[caller]


@dataclass(eq=False, slots=True)
class Service:
    """A name, and those who answer for it."""

    descriptor: Descriptor
    replicas: list[Replica] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    requests: int = 0
    used: float = 0.0
    """When a request was last passed on to it, on the loop's clock."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when a replica comes or goes."""
    waiting: int = 0
    """Requests that wait for one."""

    def wake(self) -> None:
        """Let those who wait for a replica look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def status(self) -> str:
        links = [replica.session.link for replica in self.replicas]
        if any(link is not None for link in links):
            return "stalled" if all(r.session.stalled for r in self.replicas if r.session.link) else "live"
        return "reconnecting"

    def pick(self, without: Replica | None = None) -> Replica | None:
        """The replica with the fewest requests in flight, of those that are linked; stalled ones only if all are.

        Of equals, the one whose last turn is longest ago.
        """
        best: Replica | None = None
        best_load = best_turn = 0
        for replica in self.replicas:
            link = replica.session.link
            if link is None or replica is without or not link.connection.can_open:
                continue
            load = replica.in_flight + (1_000_000 if replica.session.stalled else 0)
            if best is None or load < best_load or (load == best_load and replica.last_turn < best_turn):
                best, best_load, best_turn = replica, load, replica.last_turn
        return best
