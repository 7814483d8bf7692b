"""What is done at the end of a visit: a line of the access log, and a mark against who left before the answer."""

from __future__ import annotations

import time

from portico.hub.gateway import VisitorRequest
from portico.relay.edge.addresses import Addresses
from portico.relay.state import RelayState


class VisitEnds:
    """Told of each visit that has ended."""

    def __init__(self, state: RelayState, addresses: Addresses) -> None:
        self.state = state
        self._addresses = addresses

    def over(
        self, request: VisitorRequest, status: int, since: float, workspace: str, request_id: str, *, left: bool
    ) -> None:
        """A visit has ended: *left* by its visitor before the answer was whole, or as it should."""
        state, client = self.state, request.client
        if left:
            state.counters.abandoned += 1
            if request.caller:
                self._addresses.abandoned(request.caller)
        if state.access is not None:
            path = request.target.partition(b"?")[0]
            state.access.add(
                request.method,
                request.host,
                path,
                status,
                time.monotonic() - since,
                workspace,
                request.name,
                client[0] if client else "",
                request_id,
            )
