"""Typed functions: one, a list or a dict of them, an object or a class with typed methods."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.adapters import libraries, methods, tool_objects
from portico.adapters.callables import answers_to_all, called, chat_parameters, is_model, is_tool, what_is
from portico.adapters.looking import describe, is_a, look, name_of
from portico.adapters.taken import Taken, TakeOptions
from portico.asgi.adapt import kind_of
from portico.card.state import CallState
from portico.errors import NotServable
from portico.functions.hints import signature_of
from portico.functions.mark import options_of
from portico.functions.names import suggested
from portico.functions.typed import FunctionOptions, TypedFunction
from portico.packages import IN_TAB, loaded, to_install

WORDS = "a function, a list or dict of functions, an object with typed methods"

KIND = "functions"

_NAMED = 5
"""Functions that are named where people read of what is served: as many as fit a line."""

_LONGEST_BODY = 1000
"""Characters of an example of a call: more is nothing that a person reads on a card, or pastes."""

_NEEDS = {
    "fastapi": "fastapi",
    "pydantic": "pydantic",
    "python_multipart": "python-multipart",
    "docstring_parser": "docstring-parser",
}
"""What is imported, by any service of functions, and the packages that have it."""

_SPARED = ("python-multipart", "docstring-parser")
"""Without which functions are called, but for forms, and described, but for what docstrings say of parameters."""


def claims(thing: Any) -> bool:
    """Whether *thing* is a function, or holds one: a list or dict, or an object or class with typed methods."""
    if _is_server(thing):
        return True
    if is_a(thing, (dict, list, tuple)):
        return "function" in [what_is(part) for part in _parts(thing)] or any(map(has_methods, _parts(thing)))
    return what_is(thing) == "function" or has_methods(thing)


def _is_server(thing: Any) -> bool:
    server = loaded("portico.functions.server", "FunctionsServer")  # it takes long to import: without it there is none
    return server is not None and is_a(thing, server)


def has_methods(thing: Any) -> bool:
    """Whether *thing* is an object or a class with typed public methods of its author's, and no app."""
    if answers_to_all(thing) or look(kind_of, thing, otherwise="") or look(libraries.claims, thing, otherwise=False):
        return False
    found = look(methods.methods_of, thing, otherwise=methods.NONE)
    return bool(found.served) and not (is_a(thing, type) and methods.makes_apps(thing))


def is_near(thing: Any) -> bool:
    """Whether *thing* would be functions but for a detail: its methods say no types, or one part of it is none."""
    if is_a(thing, (dict, list, tuple)):
        return any(map(callable, _parts(thing)))
    if callable(thing) and not is_a(thing, type):
        return True
    return bool(look(methods.methods_of, thing, otherwise=methods.NONE).left)


def lacks_types(thing: Any) -> bool:
    """Whether *thing*, an object or a class, has methods that are not served for want of types."""
    return bool(look(methods.methods_of, thing, otherwise=methods.NONE).left)


def advice(thing: Any) -> str:
    """Why *thing*, an object or a class with methods, is not served by these; empty if there is nothing to say."""
    found = look(methods.methods_of, thing, otherwise=methods.NONE)
    if found.left:
        return _left(thing, found.left)
    kind = thing if is_a(thing, type) else type(thing)
    if answers_to_all(thing) or methods.is_authors_own(kind) or not methods.has_public(kind):
        return ""
    return (
        f"The methods of {name_of(kind)}, which comes from an installed package, are not served by themselves: list "
        "those that are to be, as in %serve [x.first, x.second]."
    )


def own_name(thing: Any) -> str:
    """What *thing* is called, for the name of its service: of several functions the first. Empty if it has no name."""
    if is_a(thing, dict):
        return next((str(key) for key in thing), "")
    if is_a(thing, (list, tuple)):
        return own_name(thing[0]) if thing and not is_a(thing[0], (dict, list, tuple)) else ""
    if (tool := tool_objects.unwrap(thing)) is not None:
        return tool[1].name
    while is_a(thing, functools.partial):
        thing = thing.func
    name = look(lambda one: one.__name__, thing, otherwise="")
    if isinstance(name, str) and name:
        return name
    if look(claims, thing, otherwise=False):
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name_of(type(thing)))  # FlatPrices -> flat-prices
    return ""


def _parts(thing: Any) -> list[Any]:
    return list(thing.values() if is_a(thing, dict) else thing)


def take(thing: Any, options: TakeOptions) -> Taken:
    """Make one app of *thing*: a page, a REST API and tools.

    Raises `NotServable` for what is no function, or has a type that nothing is known of; `StartupFailed` where making
    an object of a class fails.
    """
    if _is_server(thing):
        server, remarks = thing, []
    else:
        check_packages()
        from portico.functions.server import FunctionsServer

        found = read(thing, options.name)
        title = options.title or (options.name if len(found.functions) > 1 else "")
        server = FunctionsServer(
            found.functions, title=title, on_error=lambda error: options.report("the function", error)
        )
        remarks = [*found.remarks, *_untyped(found.functions)]
    return Taken(
        server,
        KIND,
        how=_how(tuple(server.functions)),
        remarks=(*remarks, *server.remarks),
        tools=server.tools,
        call=call_of(server.functions),
    )


def call_of(served: Mapping[str, TypedFunction]) -> CallState:
    """How a program calls the first of them."""
    from portico.functions.example import arguments_of, files_of

    name, typed = next(iter(served.items()))
    body = json.dumps(arguments_of(typed), ensure_ascii=False)
    path = "run" if len(served) == 1 else f"{name}/run"
    return CallState(path=path, body=body if len(body) <= _LONGEST_BODY else "{}", files=files_of(typed))


@dataclass(slots=True)
class Gathered:
    """The functions that a thing holds."""

    functions: dict[str, TypedFunction] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    """What their author should know."""


def read(thing: Any, service: str = "") -> Gathered:
    """The functions of *thing*, by name. A single one that has no name is called as its *service*.

    Raises as `take` does.
    """
    found = Gathered()
    for name, function, options in _functions(thing, found.remarks):
        is_lambda = function is thing and look(lambda one: one.__name__, thing, otherwise="") == "<lambda>"
        typed = _typed(function, suggested(service) if service and is_lambda else name, options)
        if typed.name in found.functions:
            raise NotServable(
                f"Two functions are called {typed.name!r}. Give a dict that names them: "
                f"{{{typed.name + '_1'!r}: ..., {typed.name + '_2'!r}: ...}}"
            )
        found.functions[typed.name] = typed
    return found


def _functions(thing: Any, remarks: list[str]) -> Iterable[tuple[str, Any, FunctionOptions | None]]:
    """Each function of *thing*, with the name that it is given here, or '' for its own, and its options, or None."""
    if is_a(thing, (dict, list, tuple)):
        pairs = list(thing.items()) if is_a(thing, dict) else [("", one) for one in thing]
        _check_alike(thing)
        for name, one in pairs:
            if is_a(thing, dict) and not (isinstance(name, str) and name):
                raise NotServable(f"A function's name is a text, not {describe(name)}.")
            yield (name, *_unwrap(one))
    elif what_is(thing) == "function" and (is_tool(thing) or not has_methods(thing)):
        yield ("", *_unwrap(thing))
    else:
        chosen = methods.methods_of(thing)
        for name, function in methods.bind(thing, chosen).items():
            marked = look(options_of, function, otherwise=None)
            yield "" if marked and marked.name else name, function, None
        if chosen.left:
            remarks.append(_left(thing, chosen.left))


def _typed(function: Any, name: str, options: FunctionOptions | None) -> TypedFunction:
    from portico.functions.signature import typed_function

    return typed_function(function, name, options)


def _unwrap(thing: Any) -> tuple[Any, FunctionOptions | None]:
    """The function itself, where *thing* is a tool of some library that holds it, and what that says of it."""
    return tool_objects.unwrap(thing) or (thing, None)


def _untyped(served: Mapping[str, TypedFunction]) -> list[str]:
    """What the author should know of parameters that say no type: callers' JSON reaches them as it is."""
    said = []
    for name, typed in served.items():
        own = look(signature_of, typed.function, otherwise=None)
        sent = {one.name for one in typed.parameters}
        bare = [
            one.name
            for one in (own.parameters.values() if own is not None else ())
            if one.name in sent and one.annotation is one.empty and one.default is one.empty
        ]
        if bare:
            said.append(
                f"{name} takes any JSON as {' and '.join(map(repr, bare[:_NAMED]))}: a type makes a field of it, and "
                f"reads what is sent. For example: def {name}({bare[0]}: float), or a pandas.DataFrame."
            )
    return said


def _check_alike(thing: Any) -> None:
    """Raise `NotServable` if not all that *thing* holds are functions."""
    parts = _parts(thing)
    kinds = [what_is(part) for part in parts]
    chat = [part for part, kind in zip(parts, kinds, strict=True) if kind == "chat"]
    if chat:
        function = next(part for part, kind in zip(parts, kinds, strict=True) if kind != "chat")
        raise NotServable(
            f"{called(function)} is a function, and {called(chat[0])} is a chat model{_why(chat[0])}: they cannot be "
            "served together. Serve each kind by itself; or add --chat (chat=True) if all are chat models"
            + ("." if is_model(chat[0]) else f"; or mark {called(chat[0])} with @portico.tool if it is a function.")
        )
    for part, kind in zip(parts, kinds, strict=True):
        if kind != "function":
            what = "is an object with methods" if has_methods(part) else "is no function"
            instead = f": list its methods, as in [{called(part).lower()}.method]" if has_methods(part) else ""
            raise NotServable(f"{describe(part)} {what}, and stands beside functions{instead}.")


def _why(model: Any) -> str:
    parameters = "" if is_model(model) else chat_parameters(model)
    return f" (it has {parameters})" if parameters else ""


def _left(thing: Any, names: tuple[str, ...]) -> str:
    kind = name_of(thing if is_a(thing, type) else type(thing))
    listed = ", ".join(f"{kind}.{name}" for name in names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
    return (
        f"Not served: {listed}. {'It says' if len(names) == 1 else 'They say'} no types; annotate what is to be "
        "served, or mark it with @portico.tool."
    )


def _how(names: tuple[str, ...]) -> str:
    """What is served, for people."""
    if len(names) > _NAMED:
        return f"{len(names)} functions, {', '.join(names[:_NAMED])} and others"
    return f"function{'s' if len(names) > 1 else ''} {', '.join(names)}"


def check_packages() -> None:
    """Raise `NotServable` if what functions need is not installed."""
    missing = [package for module, package in _NEEDS.items() if importlib.util.find_spec(module) is None]
    if (
        IN_TAB
    ):  # what is fetched there is fetched at each visit: the author is told what does not work, and may do without
        missing = [package for package in missing if package not in _SPARED]
    if missing:
        command = to_install("functions", *missing)
        raise NotServable(f"To serve functions, {' and '.join(missing)} must be installed: {command}")
