"""Who calls, as a scope tells it: for what belongs to somebody, and for what counts for somebody."""

from __future__ import annotations

from typing import Any

from portico.calls.json_text import compact
from portico.networks import network_of
from portico.types import Scope


def identity_of(scope: Scope) -> dict[str, Any] | None:
    """The caller as the hub has verified it; None where there is no hub."""
    return (scope.get("extensions") or {}).get("portico")


def owner_of(scope: Scope) -> str:
    """Whose a session is. Without a hub all callers are one, and the session's id is all that they show."""
    identity = identity_of(scope)
    return compact(identity) if identity else ""


def caller_of(scope: Scope) -> str:
    """Whom something counts for: the owner, at an address (`portico.networks`).

    All that are not known by name have one owner.
    """
    client = scope.get("client")
    return f"{owner_of(scope)} {network_of(client[0]) if client else ''}"
