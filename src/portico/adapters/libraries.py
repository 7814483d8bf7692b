"""Objects of known libraries that carry an app: how to get at it, so that it works where it is served.

Each row of `LIBRARIES` is one library. Nothing is imported before an object of that library comes along.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portico.adapters.taken import Taken, TakeOptions
from portico.asgi.adapt import adapt
from portico.asgi.mount import comes_from, root_path, strip, with_root_path, without_forwarded_prefix
from portico.types import ASGIApp

WORDS = "a gradio, NiceGUI, Dash or Datasette app, an MCP server"


def _gradio(blocks: Any) -> Any:
    """gradio.Blocks and Interface: mounted on an empty FastAPI app, which also runs their startup events."""
    gradio, fastapi = importlib.import_module("gradio"), importlib.import_module("fastapi")
    return gradio.mount_gradio_app(fastapi.FastAPI(), blocks, path="/")


_NICEGUI_SECRET = "NICEGUI_STORAGE_SECRET"


@functools.cache  # there is one NiceGUI a process, and it takes its middleware once
def _nicegui_host() -> ASGIApp:
    """Its per-user storage needs a secret, which ``ui.run`` would be given: the environment's, or one of this process.

    With the latter, what browsers have stored is forgotten when the process ends.
    """
    nicegui, fastapi = importlib.import_module("nicegui"), importlib.import_module("fastapi")
    host = fastapi.FastAPI()
    secret = os.environ.get(_NICEGUI_SECRET) or secrets.token_urlsafe(32)
    nicegui.ui.run_with(host, show_welcome_message=False, storage_secret=secret)
    return without_forwarded_prefix(host)


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
    """Dash writes its URLs from a setting that is fixed when it is made, before anyone knows where it is served.

    Its routes are where its author put them (``routes_pathname_prefix``), below the service's path.
    """
    config = dash.config

    def prefix(root: str) -> str:
        return root + str(config.get("routes_pathname_prefix") or "/")

    if not hasattr(type(config), "by_request"):  # else it is served again
        # The very object is what other parts of Dash hold, so it is given another class.
        # (A config takes attributes for its items, and lets none be added.)
        object.__setattr__(config, "__class__", _by_request(type(config), "requests_pathname_prefix", prefix))
    return dash.server


def _dashes(flask: Any) -> list[Any]:
    """The Dash apps whose pages are *flask*'s: ``app.server``, or ``Dash(server=flask)``."""
    views = (getattr(view, "__self__", None) for view in flask.view_functions.values())
    return list({id(dash): dash for dash in views if comes_from(dash, "dash") and hasattr(dash, "config")}.values())


def _flask_with_dash(flask: Any) -> Any:
    for dash in _dashes(flask):
        _dash(dash)
    return flask


def _datasette(datasette: Any) -> Any:
    """Datasette writes its URLs from the setting ``base_url``.

    It puts that before the paths that it is asked for, too, which must not hold it already.
    """
    settings = datasette._settings
    if not hasattr(type(settings), "by_request"):
        datasette._settings = _by_request(type(settings), "base_url", lambda root: root + "/")(settings)
    return datasette.app()


def _by_request(kind: Any, name: str, value: Callable[[str], str]) -> Any:
    """A class of settings (*kind*: a dict, or one like it) whose *name* is the *value* for the current `root_path`.

    One object serves all mounts of an app, and several at a time: so nothing is written, and each reader finds its own.
    Outside of a request it is what its author set.
    """

    class ByRequest(kind):  # type: ignore[misc]  # whatever it is
        by_request = name

        def __getitem__(self, key: str) -> Any:
            root = root_path.get() if key == name else None
            return super().__getitem__(key) if root is None else value(root)

        def get(self, key: str, default: Any = None) -> Any:
            root = root_path.get() if key == name else None
            return super().get(key, default) if root is None else value(root)

    return ByRequest


@dataclass(frozen=True, slots=True)
class Library:
    """A library whose objects carry an app."""

    module: str
    """The top-level package that the object's class comes from."""
    needs: str
    """An attribute that tells it from other objects of that package."""
    how: str
    take: Callable[[Any], Any]
    asks: bool = False
    """Whether it asks for `portico.asgi.mount.root_path`."""
    strips: bool = False
    """Whether it is told paths without the service's own, though it knows that one."""

    only: Callable[[Any], Any] | None = None
    """What must be true of it besides."""

    def carries(self, thing: Any) -> bool:
        """Whether *thing* is one of its objects."""
        if not (comes_from(thing, self.module) and hasattr(thing, self.needs)):
            return False
        return self.only is None or bool(self.only(thing))


# Libraries whose objects carry an app, in the order in which they are tried. docs/how-to/apps.md lists them.
LIBRARIES = (
    Library("gradio", "launch", "gradio.mount_gradio_app(FastAPI(), blocks)", _gradio),
    Library("nicegui", "on_startup", "nicegui.ui.run_with(FastAPI())", _nicegui),
    Library("fastmcp", "http_app", ".http_app()", lambda server: server.http_app()),
    Library("mcp", "streamable_http_app", ".streamable_http_app()", _mcp),
    Library("dash", "server", ".server", _dash, asks=True),
    Library("flask", "view_functions", "Dash's pages in it", _flask_with_dash, asks=True, only=_dashes),
    Library("datasette", "inspect_data", ".app()", _datasette, asks=True, strips=True),
)


def claims(thing: Any) -> bool:
    return _library_of(thing) is not None


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make an ASGI app of the one that *thing* carries, told where it lives as its library wants it."""
    library = _library_of(thing)
    assert library is not None  # it is claimed
    carried = adapt(library.take(thing), "root_path", options.threads)
    strips = options.mount == "strip" or (library.strips and options.mount is None)
    app = strip(carried.app) if strips else carried.app
    if library.asks:
        app = with_root_path(app)
    return Taken(app, how=f"{type(thing).__name__}, by {library.how}")


def _library_of(thing: Any) -> Library | None:
    return next((library for library in LIBRARIES if library.carries(thing)), None)


def is_near(thing: Any) -> bool:
    """Whether *thing* is of one of these libraries, though it carries no app."""
    return any(comes_from(thing, library.module) for library in LIBRARIES)


def advice(thing: Any) -> str:
    """How an app is made of what *thing* belongs to, where it is of a library whose objects are none."""
    return next((text for module, text in _ADVICE.items() if comes_from(thing, module)), "")


_ADVICE = {
    "streamlit": "Streamlit's scripts are served as streamlit.App('page.py'), which is an ASGI app.",
    "bokeh": ("bokeh's pages can be added to a FastAPI app (panel.io.fastapi.add_application), which can be served."),
    "panel": "panel's pages can be added to a FastAPI app (panel.io.fastapi.add_application), which can be served.",
    "tornado": "tornado runs a server of its own and offers no ASGI or WSGI app.",
    "aiohttp": "aiohttp runs a server of its own and offers no ASGI or WSGI app.",
}
"""By the top-level module of the library."""
