"""Portico: give what lives in a notebook a live URL.

Here: the public names, found when they are first used, as importing portico is to cost next to nothing. The rooms, each
of which imports only what stands below it:

- `cli`: the command line. `notebook`: ``%serve``. `jupyter`: the hub in the Jupyter server. `relay`: the hub that is a
  server of its own. `browser`: static sites.
- `provider`: owns the services. `hub`: names, access, the one gate. `tab`: what runs in a browser tab alone.
- `adapters`: what can be served. `models`: chat models as an app. `asgi`: from a stream to an app. `link`: one link.
- `card`: what a person is shown of a service. `calls`: how user code is run.
- `protocol`: the link protocol, without I/O. `transports`: what carries it.
- What all may use: `foreign`, `log_text` (what others said, as it may be shown), `bounded`, `pieces`, `listeners`,
  `types`, `errors`, `version`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from portico.version import __version__

if TYPE_CHECKING:
    from portico.errors import PorticoError
    from portico.models import chat_server, create_openai_chat_server, model
    from portico.notebook import load_ipython_extension, unload_ipython_extension
    from portico.provider.connect import connect_to_server
    from portico.provider.service import Service
    from portico.provider.serving import serve, service
    from portico.provider.surroundings import Tab

__all__ = [
    "PorticoError",
    "Service",
    "__version__",
    "chat_server",
    "connect_to_server",
    "create_openai_chat_server",
    "load_ipython_extension",
    "model",
    "serve",
    "service",
    "unload_ipython_extension",
]

_HOMES = {
    "PorticoError": "portico.errors",
    "Service": "portico.provider.service",
    "chat_server": "portico.models",
    "connect_to_server": "portico.provider.connect",
    "create_openai_chat_server": "portico.models",
    "load_ipython_extension": "portico.notebook",
    "model": "portico.models",
    "serve": "portico.provider.serving",
    "service": "portico.provider.serving",
    "unload_ipython_extension": "portico.notebook",
}


def _tab() -> Tab:
    from portico.tab import handed

    return handed


if sys.platform == "emscripten":  # a browser tab: what a provider needs of it is in a room that it does not know
    from portico.provider.surroundings import hand_tab

    hand_tab(_tab)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'portico' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
