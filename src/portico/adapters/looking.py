"""Looks at a thing that may be anything: as little of its own code runs as can be, and nothing of that code gets out.

An object may answer to every name (a mock), raise at each, or give another class than its own. What it is made of is
asked of its type, which cannot lie.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)

_SHOWN = 60  # characters of a thing's own text: enough to know it by, in a sentence


def is_a(thing: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether the type of *thing* is *kind*, whatever its ``__class__`` says."""
    return issubclass(type(thing), kind)


def modules_of(thing: Any) -> list[str]:
    """The modules that *thing* comes from, the nearest first.

    Of an object these are the modules of its class and of what that is made of, so that an object of a notebook's own
    subclass is its library's too; of a class likewise. Of a function it is the one that defines it.
    """
    while is_a(thing, functools.partial):
        thing = thing.func
    names: list[Any] = []
    if is_a(thing, _FUNCTIONS):
        names.append(getattr(thing, "__module__", None))
    if is_a(thing, type):
        names += [_module(base) for base in type.mro(thing) if isinstance(base, type)]
    names += [_module(base) for base in type(thing).__mro__]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _module(kind: type) -> Any:
    return type.__dict__["__module__"].__get__(kind)


def describe(thing: Any) -> str:
    """*thing*, for whoever tried to serve it: on one line."""
    if is_a(thing, types.FunctionType):
        return f"{thing.__name__}{_signature(thing)}"
    try:
        text = " ".join(repr(thing).split())
    except Exception:  # noqa: BLE001 - its own code; that it fails is not what is to be said
        text = f"<{type(thing).__name__}>"
    kind = f"{_module(type(thing))}.{type(thing).__qualname__}".removeprefix("builtins.")
    return f"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'} (of type {kind})"


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(function))
    except Exception:  # noqa: BLE001 - a default's own repr may fail
        return "(...)"
