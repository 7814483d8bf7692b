"""ASGI apps, as they are: FastAPI, Starlette and their like."""

from __future__ import annotations

from typing import Any

from portico.adapters.looking import is_a, mro
from portico.adapters.taken import Taken, TakeOptions
from portico.asgi.adapt import adapt, kind_of

WORDS = "an ASGI app (FastAPI, Starlette, Litestar, Quart, FastHTML, Django's asgi application...)"


def claims(thing: Any) -> bool:
    return kind_of(thing) in ("asgi", "asgi2")


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make an ASGI 3 app of *thing*, told where it lives as suits its library."""
    adapted = adapt(thing, options.mount, options.threads)
    return Taken(adapted.app, how=adapted.how)


def is_near(thing: Any) -> bool:
    """Whether *thing* is a class whose objects may be apps."""
    return is_a(thing, type) and any("__call__" in vars(base) for base in mro(thing))
