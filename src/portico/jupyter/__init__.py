"""The hub in a Jupyter server: the extension, the tornado edge, identity, kernels, the control API's routes.

`extension` is what Jupyter loads; `edge` takes HTTP requests at tornado's routing layer, whose heads `heads` reads, and
`models_edge` those for the one base URL; `front_door` refuses what no handler of the server is to see. `visitor_socket`
is a visitor's WebSocket, and by `links` providers dial in, both over `sockets` and `streams`: connections that were
taken over from tornado. `identity` asks Jupyter who a visitor is; `kernels` gives each kernel its credential; `api`
maps `portico.hub.control` to handlers. Decisions are the hub's; here they meet tornado and traitlets, which no other
room knows.
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
