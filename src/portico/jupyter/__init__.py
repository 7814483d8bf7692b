"""The hub in a Jupyter server.

Decisions are the hub's (`portico.hub`); here they meet tornado and traitlets, which no other room knows.

- `extension`: what Jupyter loads: traitlets become the hub's settings.

Visitors:

- `edge`: takes HTTP requests at tornado's routing layer, and writes the access log, for WebSockets too. `heads`: reads
  what tornado has parsed.
- `models_edge`: the same for the one base URL of all models. `tools_edge`: for the one URL of all tools.
- `visitor_socket`: a visitor's WebSocket.
- `identity`: asks Jupyter who a visitor is.
- `front_door`: refuses what no handler of the server should see.

Providers:

- `links`: they dial in. `kernels`: each kernel gets a credential, and the hub hears when one ends.

For both: `sockets`: WebSockets over a connection that was taken over from tornado. `streams`: the bytes of one.

The control API: `api`: its routes; what they do is `portico.hub.control`.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from portico.jupyter.extension import PorticoApp

    return [{"module": "portico.jupyter", "app": PorticoApp}]


def __getattr__(name: str) -> Any:
    # Jupyter looks for the app on this module; importing it costs, so not before it is asked for.
    if name == "PorticoApp":
        from portico.jupyter.extension import PorticoApp

        return PorticoApp
    raise AttributeError(name)
