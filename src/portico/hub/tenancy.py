"""What a provider is let in to, once it has said who it is.

Here is the record. It is made by `portico.hub.hub` (for Jupyter) and `portico.relay.workspaces`, which read the token
in a HELLO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portico.hub.descriptor import Principal
from portico.hub.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """What a provider is let in to: who it is, where its services go, and how long they outlive its link."""

    principal: Principal
    registry: Registry
    url_of: Callable[[str], str]
    """From a service's name to its URL, for people. Ends with a slash."""
    base_url: str
    """What the URLs of its services have in common, for WELCOME."""
    hold: float
    """Seconds that the names of a lost provider which is no kernel are held for it."""
    holds_goodbyes: bool = False
    """Whether that goes for a provider that said goodbye too: its process will be back, under the same names."""
    info: dict[str, Any] = field(default_factory=dict)
    """What WELCOME tells it besides."""
