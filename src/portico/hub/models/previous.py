"""Which replica a request must have, because it goes on from a response that is stored there.

``previous_response_id`` is looked for only where the replicas of a service keep responses of their own: there a request
waits for it, and so for all of its body if need be. Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from portico.hub.models.field import ModelField, NotAnObject
from portico.hub.models.stored import holder
from portico.hub.replicas import PublishedService, Replica


def keep_their_own(service: PublishedService) -> bool:
    """Whether it matters to which replica of *service* a request goes that goes on from a response."""
    replicas = service.replicas
    return len(replicas) > 1 and any(replica.tag != replicas[0].tag for replica in replicas)


class PreviousResponse:
    """Looks for it in a body while that comes in. Feed it until it says that it knows."""

    def __init__(self, service: PublishedService, body: bytearray) -> None:
        """*body* is what has come of it; what is fed is added to that."""
        self._service = service
        self._field = ModelField("previous_response_id", body)
        self.replica: Replica | None = None
        """Which must have the request, once that is known; None for any."""

    def feed(self, data: bytes) -> bool:
        """Take more of the body. True: it is known now where the request goes."""
        try:
            found = self._field.feed(data)
        except NotAnObject:  # there is none, or null, or what its service will say something about
            return True
        if found is None:
            return False
        self.replica = holder(self._service, found.value)
        return True


def replica_for(service: PublishedService, body: bytes) -> Replica | None:
    """The replica of *service* that must have *body*, which is whole; None for any."""
    if not keep_their_own(service):
        return None
    previous = PreviousResponse(service, bytearray())
    previous.feed(body)
    return previous.replica
