"""`take`: from a thing to an app, and what is said of it, by the first adapter of the table that claims it."""

from __future__ import annotations

from typing import Any

from portico.adapters import pipelines
from portico.adapters.looking import describe, look
from portico.adapters.table import ASKED_FOR, TABLE, is_plain, refusal
from portico.adapters.taken import Taken, TakeOptions
from portico.adapters.wiring import NO_WIRING
from portico.asgi.mount import check
from portico.asgi.wsgi import check_threads
from portico.errors import InvalidOption, NotServable

_NOTHING = TakeOptions()  # was asked for


def take(thing: Any, options: TakeOptions = _NOTHING) -> Taken:
    """Make an ASGI app of *thing*, by the adapter that *options* ask for, else by the first that claims it.

    Raises `NotServable`, saying what was given and what would work, the nearest first; `InvalidOption` for options that
    there are not.
    """
    check(options.mount)
    check_threads(options.threads)
    if options.by:
        asked_for = ASKED_FOR.get(options.by)
        if asked_for is None:
            raise InvalidOption(f"things are taken by {' or '.join(ASKED_FOR)}, not by {options.by!r}")
        return asked_for(thing, options)
    if options.wiring != NO_WIRING and not look(pipelines.claims, thing, otherwise=False):
        raise InvalidOption(
            f"Inputs, outputs and settings (--inputs, --outputs, --set) are for pipelines; {describe(thing)} is none."
        )
    troubles: list[str] = []
    if not is_plain(thing):
        from portico.adapters.others import by_others  # only here: most of what is served is plainly ours

        taken = by_others(thing, options, troubles)
        if taken is not None:
            return taken
    for adapter in TABLE:
        if look(adapter.claims, thing, otherwise=False):
            return adapter.take(thing, options)
    raise NotServable(refusal(thing, troubles))
