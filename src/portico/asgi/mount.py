"""Where an app is told that it lives: below a root path, as ASGI has it, or at the root of a host.

A service has a path of its own. ASGI tells an app by ``root_path``, and ``path`` holds it too. Most frameworks take it
off before they look for a route; some do not, and answer every request with 404. For those there is ``strip``: the app
gets its paths as behind a proxy that takes the prefix off, ``root_path`` is empty (the header X-Forwarded-Prefix says
it), and the prefix is put before the paths that the app redirects to. What is known of particular libraries is in the
table at the end.

Source: ASGI spec, HTTP connection scope, ``root_path``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from portico.errors import InvalidOption
from portico.packages import loaded
from portico.types import ASGIApp, Message, Receive, Scope, Send

MOUNTS = ("root_path", "strip")

NOTHING_BUT_404 = (
    "It has answered nothing but 404 so far. If these paths do exist in the app, it does not know of root_path, by "
    "which ASGI tells an app where it is mounted. Serve it with mount='strip' (%serve app --mount strip, portico serve "
    "--mount strip): then it is told paths without the service's own."
)

root_path: ContextVar[str | None] = ContextVar("portico_root_path", default=None)
"""Where the app of the current request is mounted, for libraries that ask a setting; None outside of requests."""


def check(mount: str | None) -> None:
    """Raises `InvalidOption` for a *mount* that there is not. None is for `mounted` to choose."""
    if mount is not None and mount not in MOUNTS:
        raise InvalidOption(f"mount is 'root_path' or 'strip', not {mount!r}")


def mounted(app: ASGIApp, mount: str | None) -> tuple[ASGIApp, str]:
    """*app* as it wants to be called: by *mount*, or by what is known of its library if that is None.

    Also how that was, for people; empty for an app that is called as it is.
    """
    check(mount)
    if mount == "root_path":
        return app, ""
    for row in _KNOWN:
        if row.claims(app):
            return row.take(app), row.how
    return (strip(app), _STRIPPED) if mount == "strip" else (app, "")


_STRIPPED = "told paths without the service's own"


def strip(app: ASGIApp, *, keep_root_path: bool = False) -> ASGIApp:
    """*app*, told paths from the service's root on; of *root_path* it hears nothing, unless it is kept.

    Where it hears nothing, the service's path is put before those that it redirects to, as proxies do that take it off.
    """

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")

        async def send_placed(message: Message) -> None:
            if message["type"] == "http.response.start":
                host = next((value for name, value in scope["headers"] if name == b"host"), b"")
                headers = [
                    (name, _placed(value, root.encode(), host)) if name.lower() == b"location" else (name, value)
                    for name, value in message.get("headers", ())
                ]
                message = {**message, "headers": headers}
            await send(message)

        known = keep_root_path or not root or scope["type"] != "http"
        await app(stripped(scope, keep_root_path=keep_root_path), receive, send if known else send_placed)

    return call


def _placed(location: bytes, root: bytes, host: bytes) -> bytes:
    """*location*, a path or a URL of *host*, below *root*; as it is if it is there already, or is another's."""
    before, path = b"", location
    for scheme in (b"http://", b"https://"):
        if host and location.lower().startswith(scheme + host.lower()):
            before, path = location[: len(scheme + host)], location[len(scheme + host) :] or b"/"
    if not path.startswith(b"/") or path.startswith((b"//", root + b"/")) or path == root:
        return location
    return before + root + path


def stripped(scope: Scope, *, keep_root_path: bool = False) -> Scope:
    """A copy of *scope* whose paths begin behind its ``root_path``; a lifespan's is given back as it is."""
    root = scope.get("root_path", "")
    if not root or "path" not in scope:
        return scope
    changed = {**scope, "path": scope["path"].removeprefix(root) or "/"}
    if (raw := scope.get("raw_path")) is not None:
        changed["raw_path"] = raw.removeprefix(root.encode()) or b"/"
    if not keep_root_path:
        changed["root_path"] = ""
    return changed


def with_root_path(app: ASGIApp) -> ASGIApp:
    """*app*, with `root_path` set while it is called, in the threads that it uses too."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        before = root_path.set(scope.get("root_path", ""))
        try:
            await app(scope, receive, send)
        finally:
            root_path.reset(before)

    return _around(app, call)


def _around(app: ASGIApp, call: ASGIApp) -> ASGIApp:
    """*call*, of which `inspect.unwrap` finds *app*, whose pages are where it says."""
    return functools.update_wrapper(call, app, assigned=(), updated=())


# --- what is known of libraries ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """Apps of one library, and how they want to be called."""

    claims: Callable[[Any], bool]
    take: Callable[[Any], ASGIApp]
    how: str


def comes_from(thing: Any, package: str) -> bool:
    """Whether the class of *thing*, or one that it is made of, is from the top-level *package*."""
    return any(str(base.__module__).partition(".")[0] == package for base in type(thing).__mro__)


def _is_a(thing: Any, module: str, name: str) -> bool:
    """Whether *thing* is an instance of ``module.name``, which is not imported for that."""
    kind = loaded(module, name)
    return isinstance(kind, type) and isinstance(thing, kind)


def _routes(app: Any) -> Iterable[Any]:
    return getattr(app, "routes", None) or ()


def _has_panel(app: Any) -> bool:
    """A FastAPI app to which Panel's or Bokeh's pages were added: they count their way to the root of the host."""
    return _is_a(app, "fastapi", "FastAPI") and any(
        comes_from(route, "bokeh_fastapi")
        or getattr(getattr(route, "endpoint", None), "__module__", "").partition(".")[0] in ("bokeh_fastapi", "panel")
        for route in _routes(app)
    )


def _has_nicegui(app: Any) -> bool:
    """A FastAPI or Starlette app into which ``nicegui.ui.run_with`` has put NiceGUI's pages."""
    return comes_from(app, "starlette") and any(
        comes_from(getattr(route, "app", None), "nicegui") for route in _routes(app)
    )


def without_forwarded_prefix(app: ASGIApp) -> ASGIApp:
    """NiceGUI puts X-Forwarded-Prefix before root_path, which says the same."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if "headers" in scope:
            headers = [pair for pair in scope["headers"] if pair[0] != b"x-forwarded-prefix"]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    return _around(app, call)


class _Placed(dict[str, Any]):
    """A scope whose ``root_path`` stays: FastAPI puts the one that it was made with in its place."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key != "root_path":
            super().__setitem__(key, value)


def _fastapi(app: ASGIApp) -> ASGIApp:
    """``FastAPI(root_path=...)`` says where some proxy has put it; here it is below the service's URL."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(_Placed(scope), receive, send)

    return _around(app, call)


def _socketio(app: Any) -> ASGIApp:
    """Socket.IO's own paths are looked for from the root of the host on. The app beside it is called as it wants."""
    beside: ASGIApp | None = getattr(app, "other_asgi_app", None)
    if beside is not None:
        beside, _ = mounted(beside, None)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        own = stripped(scope)
        path, endpoint = own["path"], getattr(app, "engineio_path", None)
        if (
            beside is None
            or endpoint is None
            or (path if path.endswith("/") else path + "/").startswith(endpoint)
            or getattr(app, "static_files", None)
        ):
            await app(own, receive, send)
        else:
            await beside(scope, receive, send)

    return call


_KNOWN = (
    Known(
        lambda app: _is_a(app, "engineio", "ASGIApp"), _socketio, "whose own paths are told without the service's path"
    ),
    # It routes by the path as it stands, and puts root_path before it where it makes URLs.
    Known(lambda app: comes_from(app, "falcon"), lambda app: strip(app, keep_root_path=True), _STRIPPED),
    Known(lambda app: comes_from(app, "datasette"), strip, _STRIPPED),
    Known(_has_panel, strip, _STRIPPED),
    Known(_has_nicegui, without_forwarded_prefix, "with NiceGUI's pages"),
    Known(
        lambda app: _is_a(app, "fastapi", "FastAPI") and bool(app.root_path),
        _fastapi,
        "its own root_path left aside",
    ),
)
"""In the order in which they are asked. docs/how-to/apps.md lists them."""
