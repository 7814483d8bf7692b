"""All models behind one base URL: which a visitor may use, under which name, and whose service answers for it.

A model is called by its own id where only one of the visitor's services has it, and by ``service/model`` always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portico.hub import access
from portico.hub.access import Visitor
from portico.hub.answers import Answer
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model of one service."""

    service: PublishedService
    model: str

    @property
    def qualified(self) -> str:
        return f"{self.service.descriptor.name}/{self.model}"


def services(registry: Registry, visitor: Visitor) -> Iterator[PublishedService]:
    """The services with models that *visitor* may use.

    One that asks for a password is among them for a key that opens it: which service a password is for, nothing says.
    """
    for service in registry.services.values():
        descriptor = service.descriptor
        if not descriptor.models:
            continue
        try:
            access.check(descriptor.access, descriptor.name, visitor)
        except Answer:
            continue
        asks_password = descriptor.conditions is not None and descriptor.conditions.password is not None
        if not asks_password or access.opens(visitor, descriptor.name):
            yield service


def _usable(registry: Registry, visitor: Visitor) -> Iterator[CatalogEntry]:
    for service in services(registry, visitor):
        for model in service.descriptor.models:
            yield CatalogEntry(service, model)


def models(registry: Registry, visitor: Visitor) -> list[dict[str, Any]]:
    """The model objects that *visitor* may use (OpenAI API reference, List models)."""
    entries = list(_usable(registry, visitor))
    counts = Counter(entry.model for entry in entries)
    return [model_object(entry, entry.model if counts[entry.model] == 1 else entry.qualified) for entry in entries]


def model_object(entry: CatalogEntry, name: str) -> dict[str, Any]:
    """One model, under the *name* by which it is called."""
    return {
        "id": name,
        "object": "model",
        "created": int(entry.service.created),
        "owned_by": entry.service.descriptor.name,
    }


def origin_allowed(registry: Registry, origin: str) -> bool:
    """Whether a service with models names *origin* as one whose pages may call it."""
    return any(
        service.descriptor.models and ("*" in service.descriptor.origins or origin in service.descriptor.origins)
        for service in registry.services.values()
    )


def resolve(registry: Registry, visitor: Visitor, name: str) -> CatalogEntry:
    """Whose model *name* is. Raises an `Answer`: 404 for one that there is not, 400 for one of several services.

    Without a name it is the only one, if there is only one.
    """
    if not name:
        entries = list(_usable(registry, visitor))
        if len(entries) == 1:
            return entries[0]
        raise Answer(400, "missing_model", "The request must name its model. GET models lists yours.")
    usable = list(services(registry, visitor))
    owner, _, model = name.partition("/")
    named = [CatalogEntry(service, name) for service in usable if name in service.descriptor.models] or [
        CatalogEntry(service, model)
        for service in usable
        if service.descriptor.name == owner and model in service.descriptor.models
    ]
    if len(named) == 1:
        return named[0]
    if named:
        choices = ", ".join(entry.qualified for entry in named)
        raise Answer(400, "model_ambiguous", f"Several services have a model {name[:200]!r}. Say which: {choices}.")
    raise Answer(
        404,
        "model_not_found",
        f"The model {name[:200]!r} does not exist, or you may not use it. GET models lists yours.",
    )
