"""WSGI apps, on threads: Flask and its like."""

from __future__ import annotations

from typing import Any

from portico.adapters import asgi
from portico.adapters.taken import Taken, TakeOptions
from portico.asgi.adapt import kind_of

WORDS = "a WSGI app (Flask, Bottle...)"


def claims(thing: Any) -> bool:
    return kind_of(thing) == "wsgi"


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make an ASGI app of *thing*, which works on as many requests at a time as there are threads."""
    return asgi.take(thing, options)


def is_near(thing: Any) -> bool:
    return False
