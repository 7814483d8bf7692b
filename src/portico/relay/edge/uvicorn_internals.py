"""What the relay's front door uses of uvicorn's protocols beneath their public face, and whether it is as expected.

`portico.relay.edge.http1` and `portico.relay.edge.websocket` override and call methods of two classes that uvicorn
keeps to itself: a newer uvicorn may have them otherwise. All of it is listed here, and looked at once, before a relay
starts. Where something is missing, `portico.relay.server` serves by uvicorn's own protocols instead. Nothing here runs
a connection.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from types import FunctionType
from typing import Any

HTTP = "uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol"
SOCKET = "uvicorn.protocols.websockets.websockets_sansio_impl", "WebSocketsSansIOProtocol"
FLOW = "uvicorn.protocols.http.flow_control", "FlowControl"

METHODS: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    HTTP: {
        "connection_made": ("transport",),
        "connection_lost": ("exc",),
        "on_message_begin": (),
        "on_headers_complete": (),
        "handle_websocket_upgrade": (),
        "pause_writing": (),
        "resume_writing": (),
        "shutdown": (),
        "_should_upgrade": (),
        "_start_asgi_task": ("cycle", "app"),
    },
    SOCKET: {
        "connection_lost": ("exc",),
        "data_received": ("data",),
        "handle_bytes": ("event",),
        "handle_connect": ("event",),
        "handle_cont": ("event",),
        "handle_ping": (),
        "handle_parser_exception": (),
        "handle_text": ("event",),
        "pause_writing": (),
        "resume_writing": (),
        "receive": (),
        "run_asgi": (),
        "send_500_response": (),
        "send_receive_event_to_app": (),
    },
    FLOW: {"drain": (), "resume_reading": ()},
}
"""By module and class: the methods, defined by uvicorn, and the names of their parameters."""

ATTRIBUTES: dict[tuple[str, str], tuple[str, ...]] = {
    HTTP: (
        "client", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser", "pipeline", "scheme", "scope",
        "server", "server_state", "timeout_keep_alive", "transport", "url",
    ),
    SOCKET: (
        "close_sent", "conn", "curr_msg_data_type", "disconnected", "frames", "handshake_complete",
        "handshake_initiated", "loop", "read_paused", "response", "scope", "transport", "writable",
    ),
    FLOW: ("write_paused",),
}  # fmt: skip
"""Of the instances: each must be named in the code of its class."""

COROUTINES = frozenset({"receive", "run_asgi", "drain"})


def missing() -> list[str]:
    """What is not as those two need it; empty if all is."""
    wrong: list[str] = []
    for place, methods in METHODS.items():
        module, name = place
        try:
            made: Any = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            wrong.append(f"{module}.{name}")
            continue
        functions = _functions(made)
        for method, parameters in methods.items():
            function = functions.get(method)
            if function is None or not _takes(function, method, parameters):
                wrong.append(f"{name}.{method}({', '.join(parameters)})")
        named = {given for function in functions.values() for given in function.__code__.co_names}
        wrong += [f"{name}.{attribute}" for attribute in ATTRIBUTES[place] if attribute not in named]
    return wrong


def _functions(made: type) -> dict[str, FunctionType]:
    """The methods that uvicorn defines: a base class of asyncio has empty ones of some names."""
    found: dict[str, FunctionType] = {}
    for each in reversed(made.__mro__):
        if each.__module__.startswith("uvicorn."):
            found.update({name: value for name, value in vars(each).items() if isinstance(value, FunctionType)})
    return found


def _takes(function: FunctionType, name: str, parameters: tuple[str, ...]) -> bool:
    taken = tuple(inspect.signature(function).parameters)[1:]
    return taken == parameters and inspect.iscoroutinefunction(function) is (name in COROUTINES)
