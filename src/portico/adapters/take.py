"""`take`: from a thing to an app, and what is said of it, by the first adapter of the table that claims it."""

from __future__ import annotations

import logging
from typing import Any

from portico.adapters.others import OTHERS, Broken, Declared
from portico.adapters.table import ASKED_FOR, TABLE, is_plain, refusal
from portico.adapters.taken import Taken, TakeOptions
from portico.asgi.mount import check
from portico.asgi.wsgi import check_threads
from portico.errors import NotServable

logger = logging.getLogger(__name__)

_NOTHING = TakeOptions()  # was asked for


def take(thing: Any, options: TakeOptions = _NOTHING) -> Taken:
    """Make an ASGI app of *thing*, by the adapter that *options* ask for, else by the first that claims it.

    Raises `NotServable`, saying what was given and what would work, the nearest first; `InvalidOption` for options that
    there are not.
    """
    check(options.mount)
    check_threads(options.threads)
    if options.by:
        return ASKED_FOR[options.by](thing, options)
    troubles: list[str] = []
    if not is_plain(thing):
        taken = _by_others(thing, options, troubles)
        if taken is not None:
            return taken
    for adapter in TABLE:
        if adapter.claims(thing):
            return adapter.take(thing, options)
    raise NotServable(refusal(thing, troubles))


def _by_others(thing: Any, options: TakeOptions, troubles: list[str]) -> Taken | None:
    """*thing*, taken by another package's adapter; None if none takes it, and *troubles* with those that broke."""
    claimants: list[Declared] = []
    for declared in OTHERS.for_thing(thing):
        try:
            if OTHERS.claims(declared, thing):
                claimants.append(declared)
        except Broken as error:
            _skip(error, troubles)
    if len(claimants) > 1:
        logger.warning(
            "an object of type %s is claimed by %s; the first is asked first: it is for the nearest class, or its "
            "package's name comes first",
            type(thing).__name__,
            ", and by ".join(map(str, claimants)),
        )
    for declared in claimants:
        try:
            return OTHERS.take(declared, thing, options)
        except Broken as error:
            _skip(error, troubles)
    return None


def _skip(error: Broken, troubles: list[str]) -> None:
    """Tell who may mend it; the next adapter is asked."""
    text = f"{error}"
    troubles.append(text)
    logger.warning("%s. It is skipped.", text, exc_info=error.__cause__)
