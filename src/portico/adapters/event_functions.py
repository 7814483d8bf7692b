"""Functions by their paths, a dict of them, as REST: where that is asked for. By itself such a dict is chat models."""

from __future__ import annotations

from typing import Any

from portico.adapters.taken import Taken, TakeOptions
from portico.types import Scope


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make an app of *thing*, a dict of functions. Raises `NotServable` for what is no function."""
    from portico.asgi.functions import functions_app  # only here: few services are made in this way

    app = functions_app(thing, context=options.context or _nobody, require_context=options.require_context)
    return Taken(app, how="functions")


def _nobody(scope: Scope) -> dict[str, Any]:
    """What a function is told of a caller of whom nobody asked."""
    return {}
