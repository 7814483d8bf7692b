"""What counts as an app: ASGI 3, ASGI 2, WSGI, and objects of known libraries that carry one.

`adapt` makes an ASGI 3 app of what it is given, or says why it cannot. Chat functions are the provider's business:
by the time something comes here it should be an app.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, replace
from typing import Any

from portico.asgi.libraries import LIBRARIES
from portico.asgi.mount import check, mounted, strip, with_root_path
from portico.asgi.wsgi import THREADS, WSGIApp, check_threads
from portico.errors import NotServable
from portico.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Adapted:
    """An app, and how it was found: ``kind`` is ``asgi``, ``asgi2`` or ``wsgi``; ``how`` is for people."""

    app: ASGIApp
    kind: str
    how: str


_ACCEPTED = (
    "What can be served: an ASGI app (FastAPI, Starlette, Litestar, Quart, FastHTML, Django's asgi application...), "
    "a WSGI app (Flask, Dash), a gradio or NiceGUI app, a FastMCP server, "
    "or a function as a chat model (%serve name --chat)."
)


def adapt(thing: Any, mount: str | None = None, threads: int = THREADS) -> Adapted:
    """Make an ASGI 3 app of *thing*.

    *mount* says where it believes that it lives (`portico.asgi.mount`): ``root_path``, ``strip``, or as is known to be
    right for its library. *threads* is how many requests a WSGI app works on at a time.

    Raises `NotServable`, saying what was given and what would work, and `InvalidOption` for another *mount* or for what
    is no number of threads.
    """
    check(mount)
    check_threads(threads)
    for library in LIBRARIES:
        if library.carries(thing):
            inner = _adapt(library.take(thing), threads)
            app = strip(inner.app) if mount == "strip" or (library.strips and mount is None) else inner.app
            if library.asks:
                app = with_root_path(app)
            return Adapted(app, inner.kind, f"{type(thing).__name__}, by {library.how}")
    adapted = _adapt(thing, threads)
    app, how = mounted(adapted.app, mount)
    return replace(adapted, app=app, how=f"{adapted.how}, {how}" if how else adapted.how)


def _adapt(thing: Any, threads: int) -> Adapted:
    root = type(thing).__module__.partition(".")[0]
    if hasattr(thing, "wsgi_app") and callable(thing) and not _is_asgi3(thing):
        return Adapted(WSGIApp(thing, threads=threads), "wsgi", f"{type(thing).__name__}, a WSGI app")
    if not callable(thing):
        raise NotServable(f"{_describe(thing)} is no app. {_ACCEPTED}")
    if _is_asgi3(thing):
        return Adapted(thing, "asgi", f"{type(thing).__name__}, an ASGI app")
    parameters = _positional(thing)
    if parameters is not None and len(parameters) == 2 and parameters[0] in ("environ", "env"):
        return Adapted(WSGIApp(thing, threads=threads), "wsgi", "a WSGI app")
    if parameters is not None and len(parameters) == 1 and parameters[0] == "scope":
        return Adapted(_asgi2(thing), "asgi2", "an ASGI 2 app")
    if inspect.isfunction(thing) or inspect.ismethod(thing):
        raise NotServable(
            f"{_describe(thing)} is a plain function. To serve it as a chat model, add --chat "
            f"(or chat=True). {_ACCEPTED}"
        )
    raise NotServable(f"{_describe(thing)} is callable, but not as an app is. {_ACCEPTED}" + _advice(root))


def _advice(root: str) -> str:
    if root == "streamlit":
        return " Streamlit's scripts are served as streamlit.App('page.py'), which is an ASGI app."
    if root in ("bokeh", "panel"):
        return f" {root}'s pages can be added to a FastAPI app (panel.io.fastapi.add_application), which can be served."
    if root in ("tornado", "aiohttp"):
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


def _asgi2(app: Any) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return call
