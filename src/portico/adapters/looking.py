"""Looks at a thing that may be anything: as little of its own code runs as can be, and nothing of that code gets out.

An object may answer to every name (a mock), raise at each, or give another class than its own. What it is made of is
asked of its type, which cannot lie.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

from portico.calls.endings import is_failure

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)

_SHOWN = 60  # characters of a thing's own text: enough to know it by, in a sentence


T = TypeVar("T")


def look(question: Callable[[Any], T], thing: Any, otherwise: T) -> T:
    """What *question* finds of *thing*, or *otherwise* where code of the thing itself raises at it.

    What it cannot be asked it is not: nothing is said of the exception.
    """
    try:
        return question(thing)
    except BaseException as error:  # noqa: BLE001 - the thing may be anything
        is_failure(error, stopped=False)  # or it is the user's own, and goes on
        return otherwise


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
        names += map(_module, mro(thing))
    names += map(_module, mro(type(thing)))
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def mro(kind: type) -> tuple[type, ...]:
    """What the class *kind* is made of, whatever its metaclass says."""
    found: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)
    return found


def _module(kind: type) -> Any:
    return type.__dict__["__module__"].__get__(kind)


def _qualified(kind: type) -> Any:
    return type.__dict__["__qualname__"].__get__(kind)


def name_of(kind: type) -> str:
    """The class's own name, whatever its metaclass says."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return name


def describe(thing: Any) -> str:
    """*thing*, for whoever tried to serve it: on one line."""
    if is_a(thing, types.FunctionType):
        return f"{thing.__name__}{_signature(thing)}"
    text = " ".join(look(repr, thing, otherwise=f"<{name_of(type(thing))}>").split())
    kind = f"{_module(type(thing))}.{_qualified(type(thing))}".removeprefix("builtins.")
    return f"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'} (of type {kind})"


def _signature(function: Any) -> str:
    return look(lambda one: str(inspect.signature(one)), function, otherwise="(...)")  # a default's repr may fail
