"""All models behind one base URL (``<jupyter>/portico/v1``): what a request under it means, and whose the models are.

An edge makes one `AllModels` for each base URL. HTTP is `portico.hub.models.exchange`, WebSockets are
`portico.hub.models.socket`. Nothing here knows a web framework.
"""

from __future__ import annotations

from portico.hub.access import ANONYMOUS
from portico.hub.answers import Answer, unauthorized
from portico.hub.callers import Caller
from portico.hub.forward import Admission
from portico.hub.gateway import Gateway
from portico.hub.held_bodies import HeldBodies
from portico.hub.models import catalog
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService
from portico.hub.request import Target
from portico.hub.visits import Visit


class AllModels:
    """One base URL, over the services of one registry. Cheap to make, and without state of its own."""

    __slots__ = ("base", "gateway", "held", "registry")

    def __init__(self, gateway: Gateway, registry: Registry, base: str, held: HeldBodies | None = None) -> None:
        """*base* is the path of the base URL as requests have it, without a slash at its end: ``/portico/v1``.

        *held* is what all that are made share.
        """
        self.held = HeldBodies() if held is None else held
        self.gateway = gateway
        self.registry = registry
        self.base = base.encode("latin-1")

    def split(self, visit: Visit) -> bytes:
        """What of the target's path follows the base URL (``/chat/completions``); fills in the visit's target.

        Raises an `Answer` (404) for a path that only begins like the base URL.
        """
        path, _, query = visit.request.target.partition(b"?")
        rest = path[len(self.base) :]
        visit.target = Target("", b"/v1" + (rest or b"/"), query, "")
        if not path.startswith(self.base) or (rest and not rest.startswith(b"/")):
            visit.target = Target("", b"/v1/", query, "")
            raise Answer(404, "not_found", f"The models are under {self.base.decode('latin-1')}/.")
        return rest

    def refuse_strangers(self, caller: Caller) -> None:
        """Raise an `Answer` (401) for someone unknown where no model is public, before anything of theirs is held."""
        if caller.visitor is ANONYMOUS and not catalog.models(self.registry, ANONYMOUS):
            raise key_needed()

    def resolve(self, caller: Caller, model: str) -> catalog.CatalogEntry:
        """Whose model that is. Raises an `Answer`; a stranger is asked for a key rather than told what there is."""
        try:
            return catalog.resolve(self.registry, caller.visitor, model)
        except Answer as answer:
            raise said_to(caller, answer) from None

    def admit(self, visit: Visit, caller: Caller, service: PublishedService) -> Admission:
        """Make the visit one to *service*, and let *caller* in to it. Raises an `Answer` for a no."""
        name, prefix, target = service.descriptor.name, visit.request.prefix, visit.target
        root_path = (prefix + name.encode()).decode("latin-1") if prefix else ""
        visit.target = Target(name, target.raw_path, target.query, root_path)
        return self.gateway.admit_caller(visit, caller, service)


def said_to(caller: Caller, answer: Answer) -> Answer:
    """A stranger is asked for a key where someone known is told that there is no such thing."""
    return key_needed() if answer.status == 404 and caller.visitor is ANONYMOUS else answer


def key_needed() -> Answer:
    """The answer to someone unknown where no model is public."""
    return unauthorized(
        "A key is needed here, as the client's api_key. The author of a model makes one in its notebook: service.key()"
    )
