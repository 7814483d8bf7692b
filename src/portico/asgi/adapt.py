"""What counts as an app: ASGI 3, ASGI 2, WSGI, and objects of known libraries that carry one.

`adapt` makes an ASGI 3 app of what it is given, or says why it cannot. Chat functions are the provider's business:
by the time something comes here it should be an app.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portico.errors import NotServable
from portico.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Adapted:
    """An app, and how it was found: ``kind`` is ``asgi``, ``asgi2`` or ``wsgi``; ``how`` is for people."""

    app: ASGIApp
    kind: str
    how: str


def _gradio(blocks: Any) -> Any:
    """gradio.Blocks and Interface: mounted on an empty FastAPI app, which also runs their startup events."""
    gradio, fastapi = importlib.import_module("gradio"), importlib.import_module("fastapi")
    return gradio.mount_gradio_app(fastapi.FastAPI(), blocks, path="/")


@functools.cache  # there is one NiceGUI a process, and it takes its middleware once
def _nicegui_host() -> ASGIApp:
    nicegui, fastapi = importlib.import_module("nicegui"), importlib.import_module("fastapi")
    host = fastapi.FastAPI()
    nicegui.ui.run_with(host, show_welcome_message=False)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if "headers" in scope:  # NiceGUI puts the forwarded prefix before root_path, which says the same
            headers = [pair for pair in scope["headers"] if pair[0] != b"x-forwarded-prefix"]
            scope = {**scope, "headers": headers}
        await host(scope, receive, send)

    return call


def _nicegui(_: Any) -> Any:
    """NiceGUI's own app only runs inside its server: its pages are mounted on an empty FastAPI app instead."""
    return _nicegui_host()


def _mcp(server: Any) -> Any:
    """MCP servers answer local host names alone unless told otherwise. Which names are good the hub has looked at."""
    make = server.streamable_http_app
    if "transport_security" not in inspect.signature(make).parameters:
        return make()
    settings = importlib.import_module("mcp.server.transport_security").TransportSecuritySettings
    return make(transport_security=settings(enable_dns_rebinding_protection=False))


def _dash(dash: Any) -> Any:
    """Dash writes its URLs from a setting that is fixed when it is made, before anyone knows where it is served."""
    app, config = adapt(dash.server).app, dash.config

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        prefix = scope.get("root_path", "") + "/"
        if config["requests_pathname_prefix"] != prefix:
            dict.__setitem__(config, "requests_pathname_prefix", prefix)  # it is read-only to its own __setitem__
        await app(scope, receive, send)

    return call


@dataclass(frozen=True, slots=True)
class _Carrier:
    module: str
    """The top-level package that the object's class comes from."""
    needs: str
    """An attribute that tells it from other objects of that package."""
    how: str
    take: Callable[[Any], Any]


# Libraries whose objects carry an app, in the order in which they are tried. docs/how-to/apps.md lists them.
_CARRIERS = (
    _Carrier("gradio", "launch", "gradio.mount_gradio_app(FastAPI(), blocks)", _gradio),
    _Carrier("nicegui", "on_startup", "nicegui.ui.run_with(FastAPI())", _nicegui),
    _Carrier("fastmcp", "http_app", ".http_app()", lambda server: server.http_app()),
    _Carrier("mcp", "streamable_http_app", ".streamable_http_app()", _mcp),
    _Carrier("dash", "server", ".server", _dash),
)

_ACCEPTED = (
    "What can be served: an ASGI app (FastAPI, Starlette, Litestar, Quart, FastHTML, Django's asgi application...), "
    "a WSGI app (Flask, Dash), a gradio or NiceGUI app, a FastMCP server, "
    "or a function as a chat model (%serve name --chat)."
)


def adapt(thing: Any) -> Adapted:
    """Make an ASGI 3 app of *thing*. Raises `NotServable`, saying what was given and what would work."""
    root = type(thing).__module__.partition(".")[0]
    for carrier in _CARRIERS:
        if _comes_from(thing, carrier.module) and hasattr(thing, carrier.needs):
            inner = adapt(carrier.take(thing))
            return Adapted(inner.app, inner.kind, f"{type(thing).__name__}, by {carrier.how}")
    if hasattr(thing, "wsgi_app") and callable(thing) and not _is_asgi3(thing):
        return Adapted(_wsgi(thing), "wsgi", f"{type(thing).__name__}, a WSGI app, through a2wsgi")
    if not callable(thing):
        raise NotServable(f"{_describe(thing)} is no app. {_ACCEPTED}")
    if _is_asgi3(thing):
        return Adapted(thing, "asgi", f"{type(thing).__name__}, an ASGI app")
    parameters = _positional(thing)
    if parameters is not None and len(parameters) == 2 and parameters[0] in ("environ", "env"):
        return Adapted(_wsgi(thing), "wsgi", "a WSGI app, through a2wsgi")
    if parameters is not None and len(parameters) == 1 and parameters[0] == "scope":
        return Adapted(_asgi2(thing), "asgi2", "an ASGI 2 app")
    if inspect.isfunction(thing) or inspect.ismethod(thing):
        raise NotServable(
            f"{_describe(thing)} is a plain function. To serve it as a chat model, add --chat "
            f"(or chat=True). {_ACCEPTED}"
        )
    raise NotServable(f"{_describe(thing)} is callable, but not as an app is. {_ACCEPTED}" + _advice(root))


def _comes_from(thing: Any, package: str) -> bool:
    return any(base.__module__.partition(".")[0] == package for base in type(thing).__mro__)


def _advice(root: str) -> str:
    if root in ("tornado", "aiohttp", "streamlit", "bokeh", "panel"):
        return f" {root} runs a server of its own and offers no ASGI or WSGI app."
    return ""


def _describe(thing: Any) -> str:
    if inspect.isfunction(thing):
        return f"{thing.__name__}{_signature(thing)}"
    text = repr(thing)
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")
    return f"{text if len(text) <= 60 else text[:57] + '...'} (of type {kind})"


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


def _positional(thing: Any) -> list[str] | None:
    """The names of the required positional parameters of a call of *thing*; None if that cannot be known."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in positional and parameter.default is inspect.Parameter.empty
    ]


def _is_asgi3(thing: Any) -> bool:
    """Whether a call takes scope, receive and send: by their number, and that it is a coroutine or so named."""
    if inspect.isclass(thing):
        return False
    parameters = _positional(thing)
    if parameters is None or len(parameters) != 3:
        return False
    target = thing
    while isinstance(target, functools.partial):
        target = target.func
    call = target if inspect.isroutine(target) else getattr(target, "__call__", target)  # noqa: B004 - wanted is the method
    return inspect.iscoroutinefunction(call) or parameters[1:] == ["receive", "send"]


def _wsgi(app: Any) -> ASGIApp:
    from a2wsgi import WSGIMiddleware

    adapted: ASGIApp = WSGIMiddleware(app)
    return adapted


def _asgi2(app: Any) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return call
