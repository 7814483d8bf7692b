"""From the parameters of a function to the fields that callers give.

Here: one parameter. Not here: what its annotation means (`hints`), and the function as a whole (`signature`).
"""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import inspect
import sys
import types
import typing
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Union

from portico.functions.hints import fields_of
from portico.functions.schema import generator, is_json
from portico.functions.values import annotations as values
from portico.functions.values.families import Family

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

EMPTY: Any = inspect.Parameter.empty

NOT_PASSED: Any = object()
"""The default of what the function has no default of its own for, and does without."""

_PLAIN = (bool, int, float, str, list, dict)
"""Types of defaults that say which type a parameter without an annotation has."""

_PLAIN_TOO = (enum.Enum, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, decimal.Decimal)
"""The same, of any class below these."""

_ITERABLES = (
    collections.abc.Iterable,
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.Collection,
    collections.abc.Container,
    collections.abc.Reversible,
)

_AS_IT_IS = frozenset((bool, int, float, str, type(None)))
"""Types of defaults that a schema says as they are."""


@dataclass(frozen=True, slots=True)
class FieldOfParameter:
    """One parameter as a field of what callers give."""

    parameter: str
    """The function's own name of it."""
    name: str
    """What the field is called in the model: pydantic keeps some names for itself."""
    annotation: Any
    info: FieldInfo
    always: bool
    """Whether it is passed if callers gave nothing: its default is that of a ``Field(...)``, and not the function's."""


def annotation_of(parameter: inspect.Parameter, annotation: Any) -> Any:
    """The type of *parameter*, whose own annotation is *annotation*; `EMPTY` if it has none."""
    default = parameter.default
    if annotation is EMPTY:
        return _type_of_default(default)
    if default is None and not _takes_none(annotation):
        return _or_none(annotation)
    return annotation


def _or_none(annotation: Any) -> Any:
    """The type, or None: what a caller may give for ``area: float = None``, which says so by its default."""
    if typing.get_origin(annotation) is Annotated:
        inner, *notes = typing.get_args(annotation)
        return Annotated[(_or_none(inner), *notes)]
    return Union[annotation, None]  # noqa: UP007 -- not each type has an operator for it


def taken(annotation: Any, *, result: bool = False, plain: frozenset[Family] = values.NO_FAMILIES) -> Any:
    """*annotation* as pydantic takes it: with lists, where anything iterable would do, and values that no JSON holds.

    *result* says that it is what a function returns. Values of the families *plain* are pydantic's own.
    """
    annotation = _listed(annotation)
    special = values.annotation(annotation, result=result, plain=plain)
    return annotation if special is None else special


def _listed(annotation: Any, within: frozenset[Any] = frozenset()) -> Any:
    """With lists in place of iterables, which pydantic reads as the function goes through them: it refuses too late.

    *within* are the TypedDicts that it is a part of.
    """
    origin = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    if any(origin is one for one in _ITERABLES):
        return list[_listed(arguments[0], within)] if arguments else list[Any]  # type: ignore[misc]
    if origin is Annotated:
        return Annotated[(_listed(arguments[0], within), *arguments[1:])]
    if _is_union(annotation):
        return Union[tuple(_listed(one, within) for one in arguments)]  # noqa: UP007 -- not each type has an operator
    if arguments and any(origin is one for one in (list, set, frozenset, dict)):
        return origin[tuple(_listed(one, within) for one in arguments)]
    if sys.version_info < (3, 12) and typing.is_typeddict(annotation) and annotation not in within:
        return _typed_dict(annotation, within | {annotation})
    return annotation


def _typed_dict(kind: Any, within: frozenset[Any]) -> Any:
    """A TypedDict of typing_extensions for one of typing, which pydantic does not take before Python 3.12.

    One that refers to itself is not made so: pydantic says what its author can do.
    """
    import typing_extensions

    fields = {
        name: (typing_extensions.Required if required else typing_extensions.NotRequired)[_listed(hint, within)]
        for name, (hint, required) in fields_of(kind).items()
    }
    make: Any = typing_extensions.TypedDict
    made = make(kind.__name__, fields)
    made.__doc__, made.__module__, made.__qualname__ = kind.__doc__, kind.__module__, kind.__qualname__
    if config := getattr(kind, "__pydantic_config__", None):
        made.__pydantic_config__ = config
    return made


def _type_of_default(default: Any) -> Any:
    if type(default) in _PLAIN:
        return list[Any] if type(default) is list else dict[str, Any] if type(default) is dict else type(default)
    return type(default) if isinstance(default, _PLAIN_TOO) else Any


def _takes_none(annotation: Any) -> bool:
    if any(annotation is one for one in (Any, None, type(None), object)):
        return True
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _takes_none(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return None in typing.get_args(annotation)
    return origin is not None and any(_takes_none(one) for one in typing.get_args(annotation)) and _is_union(annotation)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (Union, types.UnionType)


def field_of(parameter: str, annotation: Any, default: Any, described: str, number: int) -> FieldOfParameter:
    """Make a field. *described* is what the docstring says; *default* is `EMPTY` where callers must give it."""
    import pydantic
    from pydantic.fields import FieldInfo

    name = parameter if _is_free(parameter) else f"parameter_{number}"
    said: dict[str, Any] = {}
    info = (
        FieldInfo.from_annotation(annotation)
        if default is EMPTY
        else FieldInfo.from_annotated_attribute(annotation, default)
    )
    if not info.description and (text := _noted(annotation) or described):
        said["description"] = text
    if name != parameter and info.alias is None and info.validation_alias is None:
        said["alias"] = parameter
    if isinstance(default, FieldInfo):
        own: Any = default
        annotation = Annotated[annotation, pydantic.Field(**said)] if said else annotation
    elif default is EMPTY:
        own = pydantic.Field(**said)
    elif type(default) in _AS_IT_IS:
        own = pydantic.Field(default, **said)
    else:  # it is the function's own, and never copied
        noted = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        told = {**noted, **_as_json(annotation, default)}
        own = pydantic.Field(default_factory=lambda: default, json_schema_extra=told, **said)
    always = isinstance(default, FieldInfo) or (default is EMPTY and not info.is_required())
    return FieldOfParameter(parameter, name, annotation, own, always)


def name_for_callers(field: FieldOfParameter, info: FieldInfo) -> str:
    """What callers write for it: the alias that its ``Field`` has, of several the first, or its own name."""
    import pydantic

    alias = info.validation_alias if info.validation_alias is not None else info.alias
    if isinstance(alias, pydantic.AliasChoices):
        alias = alias.choices[0]
    if isinstance(alias, pydantic.AliasPath):
        return str(alias.path[0])
    return alias or field.name


def is_dependency(annotation: Any, default: Any) -> bool:
    """Whether it is FastAPI's ``Depends`` or ``Security``, as a default or in `Annotated`."""
    notes = typing.get_args(annotation)[1:] if typing.get_origin(annotation) is Annotated else ()
    return any(
        type(one).__module__ == "fastapi.params" and type(one).__name__ in ("Depends", "Security")
        for one in (default, *notes)
    )


def can_be_sent(annotation: Any, default: Any) -> bool:
    """Whether callers can give a parameter that its author has bound: it has a type for that, and JSON its value."""
    from pydantic import TypeAdapter

    try:
        kind = taken(_type_of_default(default) if annotation is EMPTY else annotation)
        TypeAdapter(kind).json_schema(schema_generator=generator())
    except Exception:  # noqa: BLE001 - a type may be anything
        return False
    return bool(_as_json(kind, default))


def _is_free(name: str) -> bool:
    import pydantic

    return not name.startswith("_") and not hasattr(pydantic.BaseModel, name) and not name.startswith("parameter_")


def _noted(annotation: Any) -> str:
    """What ``Annotated[float, "square metres"]`` or ``Annotated[float, Doc("...")]`` (PEP 727) says."""
    if typing.get_origin(annotation) is Annotated:
        for one in typing.get_args(annotation)[1:]:
            text = one if isinstance(one, str) else getattr(one, "documentation", None)
            if isinstance(text, str):
                return " ".join(text.split())
    return ""


def _as_json(annotation: Any, default: Any) -> dict[str, Any]:
    """The default as a schema says it, if JSON can hold it."""
    from pydantic import TypeAdapter

    try:
        value = TypeAdapter(annotation).dump_python(default, mode="json", warnings=False)
    except Exception:  # noqa: BLE001 - a default may be anything, and a schema does without
        return {}
    return {"default": value} if is_json(value) else {}
