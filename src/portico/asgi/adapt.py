"""What counts as an app: ASGI 3, ASGI 2 and WSGI, told by how it is called.

`kind_of` says which of them a thing is, `adapt` makes an ASGI 3 app of it. What else can be served, and what is said of
what cannot, is in `portico.adapters`: by the time something comes here it should be an app.

A thing may be anything: of its own code nothing runs but what Python looks at to know how it is called.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

from portico.asgi.mount import check, mounted
from portico.asgi.wsgi import THREADS, WSGIApp, check_threads
from portico.errors import NotServable
from portico.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Adapted:
    """An app, and how it was found: ``kind`` is ``asgi``, ``asgi2`` or ``wsgi``; ``how`` is for people."""

    app: ASGIApp
    kind: str
    how: str


def adapt(thing: Any, mount: str | None = None, threads: int = THREADS) -> Adapted:
    """Make an ASGI 3 app of *thing*, an app.

    *mount* says where it believes that it lives (`portico.asgi.mount`): ``root_path``, ``strip``, or as is known to be
    right for its library. *threads* is how many requests a WSGI app works on at a time.

    Raises `NotServable` for what is no app, and `InvalidOption` for another *mount* or number of threads.
    """
    check(mount)
    check_threads(threads)
    kind, name = kind_of(thing), type(thing).__name__
    if kind == "asgi":
        app, found = thing, f"{name}, an ASGI app"
    elif kind == "asgi2":
        app, found = _asgi2(thing), "an ASGI 2 app"
    elif kind == "wsgi":
        app = WSGIApp(thing, threads=threads)
        found = f"{name}, a WSGI app" if _has_wsgi_app(thing) else "a WSGI app"
    else:
        raise NotServable(f"an object of type {name} is no ASGI or WSGI app")
    app, how = mounted(app, mount)
    return Adapted(app, kind, f"{found}, {how}" if how else found)


def kind_of(thing: Any) -> str:
    """``asgi``, ``asgi2`` or ``wsgi``; empty for what is no app."""
    if not callable(thing):
        return ""
    if _is_asgi3(thing):
        return "asgi"
    if _has_wsgi_app(thing):
        return "wsgi"
    parameters = _positional(thing)
    if parameters is not None and len(parameters) == 2 and parameters[0] in ("environ", "env"):
        return "wsgi"
    return "asgi2" if parameters == ["scope"] else ""


def _has_wsgi_app(thing: Any) -> bool:
    """Whether it is an app of Flask's kind, or stands for one. What answers to every name does not have this one."""
    try:
        return hasattr(thing, "wsgi_app") and not hasattr(thing, _NO_NAME)
    except Exception:  # noqa: BLE001 - the thing's own code, which may raise anything
        return False


_NO_NAME = "portico_asks_for_a_name_that_nothing_has"


def _positional(thing: Any) -> list[str] | None:
    """The names of the required positional parameters of a call of *thing*; None if that cannot be known."""
    try:
        signature = inspect.signature(thing)
    except Exception:  # noqa: BLE001 - it looks at attributes of the thing, whose own code may raise anything
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in positional and parameter.default is inspect.Parameter.empty
    ]


def _is_asgi3(thing: Any) -> bool:
    """Whether a call takes scope, receive and send: by their number, and that it is a coroutine or so named."""
    if issubclass(type(thing), type):
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
