"""The relay: a hub of its own, as an ASGI app, which makes services public by a link.

`relay` puts it together, of what `state` says that its rooms share, with the settings in `config` (`setting_values`
reads them) and the numbers in `counters`; `server` runs it. Where requests come in is `edge`, whom they are from
`people`, and what those see who run it `operate`.

Tenants: `workspaces`, `anonymous` ones (of who came without a token), and `held_names`, which outlive the relay. What
is remembered: `store`, made of a `database` and its `rows`; `workspace_keys` are visitors' keys in it. What programs
ask: `control`, with the `api`; `cors` lets pages ask, too. What a hub decides is in `portico.hub`.
"""

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
