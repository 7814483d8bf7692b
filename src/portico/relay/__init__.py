"""The relay: a hub of its own, as an ASGI app, which makes services public by a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portico.relay.config import RelayConfig
    from portico.relay.relay import create_app

__all__ = ["RelayConfig", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from portico.relay.relay import create_app

        return create_app
    if name == "RelayConfig":
        from portico.relay.config import RelayConfig

        return RelayConfig
    raise AttributeError(f"module 'portico.relay' has no attribute {name!r}")
