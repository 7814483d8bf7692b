"""Which methods of an object, or of a class, are functions to be served.

Those that are public and typed: no underscore before the name, and an annotation in the signature. They come from
classes of the author's own: what a library's class brings along (``model_dump`` of pydantic, ``cuda`` of torch) is not
meant to be called by strangers. Where methods are marked with ``@portico.tool``, these alone are served, from any
class.

Nothing is asked of the object: attributes are found in its classes, so no property runs.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from portico.adapters.looking import is_a, look, mro, name_of
from portico.asgi.adapt import kind_of
from portico.errors import NotServable, StartupFailed
from portico.functions.mark import options_of
from portico.packages import loaded

_SITES = frozenset(("site-packages", "dist-packages"))
"""Folders that packages are installed into: what is in them is a library."""


@dataclass(frozen=True, slots=True)
class Methods:
    """What was found in one class."""

    served: dict[str, Any]
    """As they stand in their class, by name, in the order of their definitions."""
    left: tuple[str, ...]
    """The names of public methods that say no types, and so are not served."""

    @property
    def need_an_object(self) -> bool:
        return not all(is_a(raw, (staticmethod, classmethod)) for raw in self.served.values())


NONE = Methods({}, ())


def methods_of(thing: Any) -> Methods:
    """The methods of *thing*, an object or a class, that are served, and those that would be if they were typed."""
    marked: dict[str, Any] = {}
    typed: dict[str, Any] = {}
    left: list[str] = []
    for kind, name, raw in _public(thing if is_a(thing, type) else type(thing)):
        function = _function(raw)
        if function is None:
            continue
        if look(options_of, function, otherwise=None) is not None:
            marked[name] = raw
        if not is_authors_own(kind):
            continue
        if _is_typed(function):
            typed[name] = raw
        else:
            left.append(name)
    return Methods(marked, ()) if marked else Methods(typed, tuple(left))


def bind(thing: Any, methods: Methods) -> dict[str, Callable[..., Any]]:
    """The methods as functions. An object is made of a class, if they need one.

    Raises `NotServable` for a class that needs arguments, and `StartupFailed` where making an object fails.
    """
    kind: type = thing if is_a(thing, type) else type(thing)
    one = None if thing is kind else thing
    if one is None and methods.need_an_object:
        one = _make(kind)
    return {name: raw.__get__(one, kind) for name, raw in methods.served.items()}


def _make(kind: type) -> Any:
    name = name_of(kind)
    signature = look(inspect.signature, kind, otherwise=None)
    given = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = signature.parameters.values() if signature is not None else ()
    if needed := [one.name for one in parameters if one.default is one.empty and one.kind not in given]:
        raise NotServable(
            f"{name} is a class, and an object of it needs arguments ({', '.join(needed)}): make one, and serve that, "
            f"as in %serve {name}(...)"
        )
    try:
        return kind()
    except Exception as error:
        raise StartupFailed(f"{name} is a class, and making an object of it failed: {error}") from error


def _public(kind: type) -> Iterator[tuple[type, str, Any]]:
    """What the classes of *kind* hold under public names, each name once, with the class that has it."""
    seen: set[str] = set()
    for base in mro(kind):
        if base is object:
            continue
        for name, raw in type.__dict__["__dict__"].__get__(base).items():
            if name not in seen:
                seen.add(name)
                if not name.startswith("_"):
                    yield base, name, raw


def _function(raw: Any) -> Any:
    """What tells the signature of *raw*, an attribute of a class, if that is a method; else None."""
    if is_a(raw, (staticmethod, classmethod)):
        raw = raw.__func__
    if is_a(raw, functools.partialmethod):
        return raw.func
    if is_a(raw, types.FunctionType):
        return raw
    is_wrapper = hasattr(type(raw), "__get__") and callable(raw) and not is_a(raw, type)  # functools.cache gives such
    return raw if is_wrapper and look(lambda one: hasattr(one, "__wrapped__"), raw, otherwise=False) else None


def _is_typed(function: Any) -> bool:
    signature = look(inspect.signature, function, otherwise=None)
    if signature is None:
        return False
    annotations = [signature.return_annotation, *(one.annotation for one in signature.parameters.values())]
    return any(one is not inspect.Signature.empty for one in annotations)


def has_public(kind: type) -> bool:
    """Whether objects of *kind* have a public method."""
    return any(_function(raw) is not None for _, _, raw in _public(kind))


def makes_apps(kind: type) -> bool:
    """Whether objects of *kind* are ASGI or WSGI apps, as far as that can be told without one."""
    call = next((vars(base)["__call__"] for base in mro(kind) if "__call__" in vars(base)), None)
    return call is not None and bool(look(lambda one: kind_of(functools.partial(one, None)), call, otherwise=""))


def is_authors_own(kind: type) -> bool:
    """Whether *kind* is defined in the notebook or in files of its author's, and not in an installed package."""
    module = type.__dict__["__module__"].__get__(kind)
    if not isinstance(module, str):
        return False
    top = module.partition(".")[0]
    if top == "__main__":
        return True
    if top in sys.stdlib_module_names or top == "portico":
        return False
    path = loaded(module, "__file__")
    return not (isinstance(path, str) and _SITES.intersection(PurePath(path).parts))
