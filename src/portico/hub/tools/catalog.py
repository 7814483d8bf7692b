"""Which services' tools a caller may use, and which are there now. It asks what the gate would, and counts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from portico.errors import InvalidName
from portico.hub import access
from portico.hub.access import Visitor
from portico.hub.answers import Answer
from portico.hub.enforcer import Enforcer
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService
from portico.hub.tools.names import service_of, tool_of
from portico.types import service_name

GRACE: Final = 0.5
"""Seconds for which a lost provider's tools are told on: most are back by then, and agents hear within a second."""

_MOST_QUERY = 4096  # bytes: a hundred names, percent-encoded or not
_MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class View:
    """What decides which services one caller sees."""

    visitor: Visitor
    client: str | None
    """The caller's address."""
    origin: str
    """Of the page of another origin that calls; "" for a program, or a page of this server's."""
    narrowed: frozenset[str] | None
    """The services that the URL names (``?services=``); None for all."""


def narrowing(query: bytes) -> frozenset[str] | None:
    """Which services the *query* of the URL names; None if it names none. Raises an `Answer` (400)."""
    if b"services" not in query and b"%" not in query:
        return None
    if len(query) > _MOST_QUERY:
        raise Answer(400, "invalid_services", f"The query of the URL has more than {_MOST_QUERY} bytes.")
    given = [value for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name == "services"]
    if not given:
        return None
    names = [name.strip() for value in given for name in value.split(",")]
    try:
        if len(names) > _MOST_NAMED:
            raise InvalidName(f"there are more than {_MOST_NAMED}")
        return frozenset(service_name(name) for name in names)
    except InvalidName as error:
        text = f"services names services, with commas between: ?services=flats,cats. {str(error).capitalize()}."
        raise Answer(400, "invalid_services", text) from None


def sees(view: View, service: PublishedService, enforcer: Enforcer) -> bool:
    """Whether the tools of *service* are among those that may be used."""
    descriptor = service.descriptor
    name, conditions = descriptor.name, descriptor.conditions
    if not descriptor.tools.names or (view.narrowed is not None and name not in view.narrowed):
        return False
    if view.origin and "*" not in descriptor.origins and view.origin not in descriptor.origins:
        return False
    try:
        access.check(descriptor.access, name, view.visitor)
        if conditions is not None:
            enforcer.check(conditions, view.client)
    except Answer:
        return False
    asks_password = conditions is not None and conditions.password is not None
    return not asks_password or (view.visitor.access == "key" and access.opens(view.visitor, name))


def services(registry: Registry, enforcer: Enforcer, view: View) -> Iterator[PublishedService]:
    """Those that the caller may use, in the order of their names, whether their providers are there or not."""
    names = registry.services.keys() if view.narrowed is None else view.narrowed & registry.services.keys()
    for name in sorted(names):
        service = registry.services[name]
        if sees(view, service, enforcer):
            yield service


def is_there(service: PublishedService) -> bool:
    """Whether a provider of it is linked, or was a moment ago."""
    now = asyncio.get_running_loop().time()
    return any(replica.linked or (replica.session.lost_at or -GRACE) > now - GRACE for replica in service.replicas)


def resolve(registry: Registry, enforcer: Enforcer, view: View, name: str) -> tuple[PublishedService, str] | None:
    """Whose tool *name* is, and what that calls it; None where there is none that the caller may use."""
    service = registry.services.get(service_of(name))
    if service is None or not sees(view, service, enforcer):
        return None
    tool = tool_of(name, service.descriptor.tools.names)
    return (service, tool) if tool is not None else None


def origin_allowed(registry: Registry, origin: str) -> bool:
    """Whether a service with tools names *origin* as one whose pages may call it."""
    return any(
        service.descriptor.tools.names and ("*" in service.descriptor.origins or origin in service.descriptor.origins)
        for service in registry.services.values()
    )


def next_expiry(services: Iterator[PublishedService]) -> float | None:
    """When the first of *services* expires, in seconds since 1970; None if none does."""
    ends = [
        service.descriptor.conditions.expires
        for service in services
        if service.descriptor.conditions is not None and service.descriptor.conditions.expires is not None
    ]
    return min(ends, default=None)
