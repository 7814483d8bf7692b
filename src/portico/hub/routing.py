"""Which replica of a service gets a request: policies by name.

A policy is a pure decision: it sees the replicas and the request, asks nobody, and changes nothing. Waiting for a
replica, where it finds none, is for `portico.hub.opening`; counting requests in flight is for `portico.hub.forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from portico.errors import Refused
from portico.hub.replicas import PublishedService, Replica
from portico.hub.request import VisitorRequest

Policy = Callable[[Sequence[Replica], VisitorRequest, Replica | None], Replica | None]
"""From a service's replicas and the request to the replica that gets it; the third is one that must not, as it refused.

None: none can take it now. What it returns must be one that `Replica.can_open`.
"""

_STALLED = 1_000_000
"""Requests that a stalled replica counts as having besides: more than a link has streams."""


def least_busy(replicas: Sequence[Replica], request: VisitorRequest, without: Replica | None) -> Replica | None:
    """The one with the fewest requests in flight; of equals, the one whose last turn is longest ago.

    Stalled ones get a request only if all are.
    """
    best: Replica | None = None
    for replica in replicas:
        if replica is without or not replica.can_open:
            continue
        if best is None or _load(replica) < _load(best):  # most services have one replica: its load is never asked
            best = replica
    return best


def _load(replica: Replica) -> tuple[int, int]:
    return replica.in_flight + (_STALLED if replica.stalled else 0), replica.last_turn


POLICIES: dict[str, Policy] = {"least-busy": least_busy}
"""By the name that a provider or a hub's settings give."""


def check(name: str) -> None:
    """Raise `Refused` if there is no policy of that *name*."""
    if name not in POLICIES:
        known = ", ".join(sorted(POLICIES))
        raise Refused(f"There is no routing policy {name[:50]!r}. Choose one of: {known}.", "invalid_option")


def pick(service: PublishedService, request: VisitorRequest, without: Replica | None = None) -> Replica | None:
    """The replica of *service* that gets *request*, and is not *without*. None: none can take it now."""
    return POLICIES[service.descriptor.routing](service.replicas, request, without)
