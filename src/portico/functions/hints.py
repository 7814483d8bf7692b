"""What the annotations of a function mean, wherever it was defined: texts and forward references are looked up.

Looked up in the module of the function, in what it closes over, and, while the function that it was defined in still
runs, in that one's own variables: a class of a test, say.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from portico.errors import NotServable

EMPTY: Any = inspect.Parameter.empty

_NOTED = "__portico_locals__"


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of *function*. Raises `NotServable` if it tells none."""
    try:
        return inspect.signature(function)
    except ValueError as error:
        raise NotServable(
            f"{_named(function)} does not tell what its parameters are. Write a function that calls it, with "
            "annotations, and serve that one."
        ) from error
    except TypeError as error:
        raise NotServable(f"{_named(function)} cannot be called.") from error
    except Exception as error:  # an object's own attributes may do anything
        raise NotServable(
            f"The signature of {_named(function)} cannot be read ({type(error).__name__}). Write a function that calls "
            "it, with annotations, and serve that one."
        ) from error


def definition_of(function: Any) -> Any:
    """The function whose annotations and docstring are those of *function*: below partials, wrappers, methods."""
    for _ in range(100):  # more than anybody nests
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
            function = function.__wrapped__
        elif inspect.isroutine(function):
            return function
        elif inspect.isclass(function):
            return function.__init__
        elif inspect.isroutine(called := type(function).__call__):
            function = called
        else:
            return function
    return function


def note_locals(function: Any) -> None:
    """Keep what the annotations of *function* name of the function that it is defined in, which still runs."""
    function = definition_of(function)
    texts = [one for one in getattr(function, "__annotations__", {}).values() if isinstance(one, str)]
    _, local = _namespace(function)
    noted: dict[str, Any] = {}
    for text in texts:
        try:
            wanted = compile(text, "<annotation>", "eval").co_names
        except (SyntaxError, ValueError):  # that is said when the function is served
            continue
        noted.update({name: local[name] for name in wanted if name in local})
    if noted:
        setattr(function, _NOTED, noted)


def bound_by_name(function: Any) -> set[str]:
    """The parameters that `functools.partial` has bound by their names: a caller may give them, and need not."""
    bound: set[str] = set()
    while isinstance(function, functools.partial):
        bound.update(function.keywords)
        function = function.func
    return bound


def named_fields(annotation: Any) -> dict[str, tuple[Any, bool]] | None:
    """The fields of ``**kwargs: Unpack[Options]`` (PEP 692), each with its type, and whether it must be given."""
    from typing_extensions import is_typeddict

    if not _is_special(annotation, "Unpack"):
        return None
    (kind,) = typing.get_args(annotation)
    return fields_of(kind) if is_typeddict(kind) else None


def fields_of(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The fields of a TypedDict, each with its type, and whether it must be there."""
    found = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        required = name in kind.__required_keys__
        while typing.get_origin(hint) is not None:
            if _is_special(hint, "Required"):  # which a TypedDict does not see where its annotations are texts
                required = True
            elif _is_special(hint, "NotRequired"):
                required = False
            elif not _is_special(hint, "ReadOnly"):
                break
            (hint,) = typing.get_args(hint)
        found[name] = (hint, required)
    return found


def _is_special(annotation: Any, name: str) -> bool:
    """Whether it is ``typing.<name>[...]``, or that of typing_extensions, which older Pythons have beside their own."""
    origin = typing.get_origin(annotation)
    return (getattr(origin, "_name", None) or getattr(origin, "__name__", None)) == name


def resolve(annotation: Any, function: Any) -> Any:
    """What *annotation* means. Raises what evaluating it raises: `NameError`, mostly."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        namespace = _namespace(function)
        annotation = eval(annotation, dict(namespace[0]), namespace[1])
        return resolve(annotation, function)
    return _inner(annotation, function)


def _inner(annotation: Any, function: Any) -> Any:
    """The same with texts inside it looked up, as in ``list["Item"]``."""
    if not _has_text(annotation):
        return annotation
    names, local = _namespace(function)
    stand_in = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(stand_in, dict(names), local, include_extras=True)["it"]


def _has_text(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin is None or origin is typing.Literal:
        return False
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        arguments = arguments[:1]
    return any(isinstance(one, str | typing.ForwardRef) or _has_text(one) for one in arguments)


def _namespace(function: Any) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The globals and the local names of where *function* was defined."""
    names = getattr(function, "__globals__", None)
    if names is None:
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        names = vars(module) if module is not None else vars(builtins)
    local: dict[str, Any] = dict(getattr(function, _NOTED, {}))
    outer, _, _ = getattr(function, "__qualname__", "").rpartition(".<locals>")
    if outer:
        frame = sys._getframe()
        while frame is not None:
            if frame.f_globals is names and frame.f_code.co_qualname == outer:
                local.update(frame.f_locals)
                break
            frame = frame.f_back  # type: ignore[assignment]
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False):
        try:
            local[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    local.update({one.__name__: one for one in getattr(function, "__type_params__", ())})
    return names, local


def _named(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)[:100]
