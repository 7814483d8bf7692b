"""The table of what can be served: each row is an adapter, in the order in which they are asked.

First what was asked for by an option (`ASKED_FOR`); then, for what is not plainly an app or ours, the adapters of other
packages (`portico.adapters.others`); then `TABLE`, from the most special to the most general. What nothing claims is
told what would have worked, the nearest first.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

from portico.adapters import asgi, chat, functions, libraries, wsgi
from portico.adapters.looking import describe, is_a, modules_of
from portico.adapters.others import OTHERS
from portico.adapters.taken import Adapter
from portico.asgi.adapt import kind_of

TABLE: tuple[Adapter, ...] = (chat, libraries, asgi, wsgi)

ASKED_FOR = {"chat": chat.take, "functions": functions.take}
"""By the names that `TakeOptions.by` may have."""

_MENTIONED = 5
"""Other packages that are named in an error: whoever has more of them knows what they are for."""


def is_plain(thing: Any) -> bool:
    """Whether *thing* is plainly an app or one of Portico's own things: it is nobody else's to claim."""
    return bool(kind_of(thing)) or chat.claims(thing) or "portico" in {_top(name) for name in modules_of(thing)}


def _top(module: str) -> str:
    return module.partition(".")[0]


def refusal(thing: Any, troubles: Sequence[str] = ()) -> str:
    """What is said of *thing*, which nothing takes. *troubles* are what went wrong with adapters that may have."""
    said = [f"{describe(thing)} {_what_it_is(thing)}."]
    said += [f"{trouble}." for trouble in troubles]
    if is_a(thing, type):
        said.append("It is a class: serve an object of it.")
    if advice := libraries.advice(thing):
        said.append(advice)
    words = _words(thing)
    said.append(f"What can be served: {', '.join(words[:-1])}, or {words[-1]}.")
    return " ".join(said)


def _what_it_is(thing: Any) -> str:
    if is_a(thing, (types.FunctionType, types.MethodType)):
        return "is a plain function. To serve it as a chat model, add --chat (or chat=True)"
    if callable(thing):
        return "is callable, but not as an app is"
    return "is no app"


def _words(thing: Any) -> list[str]:
    """What can be served, in words: what is nearest to *thing* first."""
    rows = [(row.is_near(thing), row.WORDS) for row in (asgi, wsgi, libraries, chat)]
    declared = {one.package: False for one in OTHERS.all()} | {one.package: True for one in OTHERS.for_thing(thing)}
    others = sorted(declared.items(), key=lambda item: (not item[1], item[0]))[:_MENTIONED]
    rows += [(near, f"what {package} adds ({_modules_of(package)})") for package, near in others]
    return [words for _, words in sorted(rows, key=lambda row: not row[0])]


def _modules_of(package: str) -> str:
    """The modules whose objects *package* takes, some of them."""
    modules = list(dict.fromkeys(one.module for one in OTHERS.all() if one.package == package))
    return "objects of " + ", ".join(modules[:_MENTIONED])
