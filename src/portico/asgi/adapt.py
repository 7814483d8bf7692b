"""What counts as an app: ASGI 3, ASGI 2 and WSGI, told by how it is called.

`kind_of` says which of them a thing is, `adapt` makes an ASGI 3 app of it. What else can be served, and what is said of
what cannot, is in `portico.adapters`: by the time something comes here it should be an app.

A thing may be anything: of its own code nothing runs but what Python looks at to know how it is called.
"""

from __future__ import annotations

import functools
import inspect
import re
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
    """``asgi``, ``asgi2`` or ``wsgi``; empty for what is no app.

    A function is told from an app by the names and the annotations of its parameters: ``async def f(a, b, c)`` and
    ``def f(scope: str)`` are functions.
    """
    if not callable(thing):
        return ""
    parameters = _positional(thing)
    if parameters is not None and _is_asgi3(thing, parameters):
        return "asgi"
    if _has_wsgi_app(thing):
        return "wsgi"
    if parameters is None or any(map(_takes_a_value, parameters)):
        return ""
    names = [parameter.name for parameter in parameters]
    if len(names) == 2 and _is_wsgi(*names):
        return "wsgi"
    return "asgi2" if names == ["scope"] else ""


def _has_wsgi_app(thing: Any) -> bool:
    """Whether it is an app of Flask's kind, or stands for one. What answers to every name does not have this one."""
    try:
        return hasattr(thing, "wsgi_app") and not hasattr(thing, _NO_NAME)
    except Exception:  # noqa: BLE001 - the thing's own code, which may raise anything
        return False


_NO_NAME = "portico_asks_for_a_name_that_nothing_has"


def _is_wsgi(first: str, second: str) -> bool:
    """Whether parameters of these names are those of PEP 3333: ``environ`` says it alone, ``env`` may be anything."""
    return first == "environ" or (first == "env" and bool(_START_RESPONSE.search(second)))


_START_RESPONSE = re.compile("start|resp|^sr$")


def _positional(thing: Any) -> list[inspect.Parameter] | None:
    """The required positional parameters of a call of *thing*; None if that cannot be known."""
    try:
        signature = inspect.signature(thing)
    except Exception:  # noqa: BLE001 - it looks at attributes of the thing, whose own code may raise anything
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind in positional and parameter.default is inspect.Parameter.empty
    ]


def _takes_a_value(parameter: inspect.Parameter) -> bool:
    """Whether *parameter* is annotated as plain data, which no app is given."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return False
    try:
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    except Exception:  # noqa: BLE001 - an annotation may be anything, and so may its repr
        return False
    return bool(_DATA.match(text))


_DATA = re.compile(
    r"""['"]?(?:typing\.|datetime\.|builtins\.)?
    (?:Optional\[)?(?:str|bytes|int|float|complex|bool|[Ll]ist|[Tt]uple|[Ss]et|Sequence|Literal|date|datetime)\b""",
    re.VERBOSE,
)
"""How annotations begin that stand for plain data, as text: a scope is a dict or a class of its library's own."""


def _is_asgi3(thing: Any, parameters: list[inspect.Parameter]) -> bool:
    """Whether a call takes scope, receive and send: by their number, and by their names, or that an object awaits."""
    if issubclass(type(thing), type) or len(parameters) != 3 or any(map(_takes_a_value, parameters)):
        return False
    names = [parameter.name for parameter in parameters]
    if names[1:] == ["receive", "send"]:
        return True
    target = thing
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isroutine(target):
        return inspect.iscoroutinefunction(target) and names[0].strip("_") == "scope"
    return inspect.iscoroutinefunction(getattr(target, "__call__", target))  # noqa: B004 - wanted is the method


def _asgi2(app: Any) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return call
