"""The relay: a hub that is a server of its own, and makes services public by a link. It is an ASGI app.

- `relay`: puts it together. `server`: runs it. `state`: what its rooms share.
- `config`: its settings.

Tenants:

- `workspaces`: those of users. `anonymous`: those of providers that came without a token.
- `held_names`: which names are held for whom, over a restart too.

What is remembered, in one SQLite file:

- `store`: what can be asked of it. `database`: the file and its tables. `rows`: what is in a table.
- `workspace_keys`: the visitors' keys of a workspace.

Requests for the relay itself:

- `control`: all that is under ``/portico/`` but the links, as one app. `api`: the control API. `cors`: which pages may
  call it.

Rooms within: `edge`: where visitors and links come in. `people`: users, sign-ins, tokens. `operate`: logs, metrics and
pages for those who run it; `counters`: the numbers that they are made of.

What any hub decides is in `portico.hub`.
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
