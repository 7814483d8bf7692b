"""The table of what can be served: each row is an adapter, in the order in which they are asked.

First what was asked for by an option (`ASKED_FOR`); then, for what is not plainly an app or ours, the adapters of other
packages (`portico.adapters.others`); then `TABLE`, from the most special to the most general. What nothing claims is
told what would have worked, the nearest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portico.adapters import asgi, chat, event_functions, functions, libraries, pipelines, wsgi
from portico.adapters.callables import is_tool
from portico.adapters.looking import describe, is_a, look, modules_of
from portico.adapters.taken import Adapter
from portico.asgi.adapt import kind_of

TABLE: tuple[Adapter, ...] = (chat, pipelines, functions, libraries, asgi, wsgi)

ASKED_FOR = {"chat": chat.take, "event_functions": event_functions.take}
"""By the names that `TakeOptions.by` may have."""

_MENTIONED = 5
"""Other packages that are named in an error: whoever has more of them knows what they are for."""


def is_plain(thing: Any) -> bool:
    """Whether *thing* is plainly an app or one of Portico's own things: it is nobody else's to claim."""
    if look(kind_of, thing, otherwise="") or "portico" in {_top(name) for name in modules_of(thing)}:
        return True
    collection = is_a(thing, _COLLECTIONS) and type(thing) not in _COLLECTIONS  # some library's own, not Python's
    return not collection and (look(chat.claims, thing, otherwise=False) or look(is_tool, thing, otherwise=False))


_COLLECTIONS = (dict, list, tuple)


def _top(module: str) -> str:
    return module.partition(".")[0]


def refusal(thing: Any, troubles: Sequence[str] = ()) -> str:
    """What is said of *thing*, which nothing takes. *troubles* are what went wrong with adapters that may have."""
    said = [f"{describe(thing)} {_what_it_is(thing)}."]
    said += [f"{trouble}." for trouble in troubles]
    missing = look(functions.advice, thing, otherwise="")
    if is_a(thing, type) and not look(functions.lacks_types, thing, otherwise=False):
        said.append("It is a class: serve an object of it.")
    if missing:
        said.append(missing)
    if advice := look(libraries.advice, thing, otherwise=""):
        said.append(advice)
    words = _words(thing)
    said.append(f"What can be served: {', '.join(words[:-1])}, or {words[-1]}.")
    return " ".join(said)


def _what_it_is(thing: Any) -> str:
    if callable(thing):
        return "is callable, but not as an app is"
    return "is no app"


def _words(thing: Any) -> list[str]:
    """What can be served, in words: what is nearest to *thing* first."""
    ours = (functions, asgi, wsgi, libraries, chat, pipelines)
    rows = [(look(row.is_near, thing, otherwise=False), row.WORDS) for row in ours]
    rows += _words_of_others(thing)
    return [words for _, words in sorted(rows, key=lambda row: not row[0])]


def _words_of_others(thing: Any) -> list[tuple[bool, str]]:
    """What other packages take, in words, and whether *thing* is near it; some of them, if they are many."""
    from portico.adapters.others import OTHERS  # only here, as in `take`

    modules: dict[str, list[str]] = {}
    for one in OTHERS.all():
        modules.setdefault(one.package, []).append(one.module)
    near = {one.package for one in OTHERS.for_thing(thing)}
    named = sorted(modules, key=lambda package: (package not in near, package))[:_MENTIONED]
    return [
        (package in near, f"what {package} adds (objects of {', '.join(modules[package][:_MENTIONED])})")
        for package in named
    ]
