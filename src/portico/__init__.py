"""Portico: give what lives in a notebook a live URL.

Here: the public names, each imported when it is first used, so that ``import portico`` costs next to nothing.

The rooms, from the top. Each imports only rooms in the lines below its own:

- `cli`: the command line.
- `notebook`: ``%serve``. `jupyter`: the hub in the Jupyter server. `relay`: the hub that is a server of its own.
  `browser`: makes static sites.
- `provider`: owns the services and dials out to hubs. `hub`: names, access, the one gate. `tab`: what Python needs of
  the browser tab that it runs in.
- `adapters`: from a thing that is served to an app.
- `pipelines`: wrapper classes and Haystack pipelines, in one server.
- `functions`: typed functions as a form, REST and tools, in one app.
- `link`: one link. `asgi`: from a stream to an app. `models`: functions as chat models, in one app. `tools`: by MCP.
- `calls`: runs user code for a request. `card`: what a person is shown of a service.
- `protocol`: the link protocol, without I/O. `transports`: what carries its messages.
- `foreign`: cleans text and URLs that the other end sent, before anybody is shown them.
- `types`: the ASGI types and the rule for names. `bounded`: a dict that strangers may fill. `pieces`: a message that
  comes in pieces. `log_text`: others' text as a log may show it. `listeners`: who is told of an event.
  `networks`: what counts as one address. `packages`: how one that is missing is installed.
  `setting_values`: reads the value of a setting. `version`.
- `errors`: every exception.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from portico.version import __version__

if TYPE_CHECKING:
    from portico.errors import PorticoError
    from portico.functions.given import Progress, User
    from portico.functions.mark import tool
    from portico.models import chat_server, create_openai_chat_server, model
    from portico.notebook import load_ipython_extension, unload_ipython_extension
    from portico.pipelines.service_app import pipeline
    from portico.provider.connect import connect_to_server
    from portico.provider.service import Service
    from portico.provider.serving import serve, service
    from portico.provider.surroundings import Tab

__all__ = [
    "PorticoError",
    "Progress",
    "Service",
    "User",
    "__version__",
    "chat_server",
    "connect_to_server",
    "create_openai_chat_server",
    "load_ipython_extension",
    "model",
    "pipeline",
    "serve",
    "service",
    "tool",
    "unload_ipython_extension",
]

_HOMES = {
    "PorticoError": "portico.errors",
    "Progress": "portico.functions.given",
    "Service": "portico.provider.service",
    "User": "portico.functions.given",
    "chat_server": "portico.models",
    "connect_to_server": "portico.provider.connect",
    "create_openai_chat_server": "portico.models",
    "load_ipython_extension": "portico.notebook",
    "model": "portico.models",
    "pipeline": "portico.pipelines.service_app",
    "serve": "portico.provider.serving",
    "service": "portico.provider.serving",
    "tool": "portico.functions.mark",
    "unload_ipython_extension": "portico.notebook",
}


def _tab() -> Tab:
    from portico.tab import for_provider

    return for_provider


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
