"""What is done when a visit is over: a line of the access log, and a mark against who left before the answer."""

from __future__ import annotations

from portico.hub.visits import LEFT, Visit
from portico.relay.edge.addresses import Addresses
from portico.relay.state import RelayState


class VisitEnds:
    """Told of each visit that has ended."""

    def __init__(self, state: RelayState, addresses: Addresses) -> None:
        self._state = state
        self._addresses = addresses
        state.visits.ended.subscribe(self._over)

    def _over(self, visit: Visit) -> None:
        request, access = visit.request, self._state.access
        if visit.how is LEFT and request.caller and visit.abandoned:
            self._addresses.abandoned(request.caller)
        if access is not None:
            access.add(
                visit.method,
                request.host,
                visit.path,
                visit.status,
                visit.ended - visit.came,
                visit.workspace,
                visit.service,
                visit.client,
                visit.number,
            )
