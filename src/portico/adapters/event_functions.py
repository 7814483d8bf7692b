"""Functions of events, a dict of them by their paths, where that is asked for: Hypha's type ``functions``."""

from __future__ import annotations

from typing import Any

from portico.adapters.taken import Taken, TakeOptions
from portico.types import Scope


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make an app of *thing*, a dict of functions. Raises `NotServable` for what is no function."""
    from portico.asgi.event_functions import event_functions_app  # only here: few services are made in this way

    app = event_functions_app(thing, context=options.context or _nobody, require_context=options.require_context)
    return Taken(app, how="functions of events")


def _nobody(scope: Scope) -> dict[str, Any]:
    """What a function is told of a caller of whom nobody asked."""
    return {}
