"""Dataclasses, TypedDicts, NamedTuples and pydantic models with special types in their fields, as parameters.

For each such class pydantic reads another one, whose fields are as `annotations` would have them, and the function
gets an instance of its own class. What a function returns needs none of this: `json_form` writes what pydantic does
not know.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel

Change = Callable[[Any], Any]
"""Gives the type that pydantic is told in place of one; the same object where nothing in it is special."""

_within: Final[ContextVar[tuple[type, ...]]] = ContextVar("classes whose fields are being looked at", default=())
"""A class that refers to itself is left as it is there."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ReadAs:
    """Metadata of an `Annotated` class: pydantic reads *model* in its place, and *build* makes an instance of that."""

    kind: Any
    model: Any
    build: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_wrap_validator_function(self._read, handler.generate_schema(self.model))

    def _read(self, given: Any, read: Callable[[Any], Any]) -> Any:
        if given.__class__ is self.kind:  # a default, or what Python code passes
            return given
        return self.build(read(given))


def changed_class(kind: type, change: Change) -> Any | None:
    """The `Annotated` type for a class; None where no field of it is special, or it is of another kind."""
    from typing_extensions import is_typeddict  # of either module; pydantic has it

    read_as = (
        _typed_dict
        if is_typeddict(kind)
        else _dataclass
        if dataclasses.is_dataclass(kind) and not hasattr(kind, "__pydantic_validator__")
        else _model
        if hasattr(kind, "model_fields")
        else _named_tuple
        if issubclass(kind, tuple) and hasattr(kind, "_fields")
        else None
    )
    within = _within.get()
    if read_as is None or kind in within:
        return None
    token = _within.set((*within, kind))
    try:
        return read_as(kind, change)
    finally:
        _within.reset(token)


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 - an annotation is code, and may raise anything; pydantic will say what is wrong
        return {}


def _changes(hints: dict[str, Any], change: Change) -> dict[str, Any]:
    """Those of *hints* that are changed."""
    changed = {name: change(hint) for name, hint in hints.items()}
    return {name: hint for name, hint in changed.items() if hint is not hints[name]}


def _dataclass(kind: Any, change: Change) -> Any | None:
    import pydantic

    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if not (changes := _changes({name: hints[name] for name in fields if name in hints}, change)):
        return None
    definitions: dict[str, Any] = {}
    for name, field in fields.items():
        default: Any = pydantic.Field()
        if field.default is not dataclasses.MISSING:
            default = pydantic.Field(default=field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = pydantic.Field(default_factory=field.default_factory)
        definitions[name] = (changes.get(name, hints.get(name, Any)), default)
    config = getattr(kind, "__pydantic_config__", None)
    model = pydantic.create_model(kind.__name__, __config__=config, __module__=kind.__module__, **definitions)
    return Annotated[kind, ReadAs(kind, model, lambda read: kind(**{name: getattr(read, name) for name in fields}))]


def _model(kind: Any, change: Change) -> Any | None:
    import pydantic

    fields = kind.model_fields
    changes = _changes({name: field.annotation for name, field in fields.items()}, change)
    if not changes:
        return None
    definitions: dict[str, Any] = {}
    for name, annotation in changes.items():
        field = pydantic.fields.FieldInfo.merge_field_infos(fields[name], annotation=annotation)
        definitions[name] = (annotation, field)
    model = pydantic.create_model(kind.__name__, __base__=kind, __module__=kind.__module__, **definitions)
    return Annotated[kind, ReadAs(kind, model, lambda read: read)]


def _typed_dict(kind: Any, change: Change) -> Any | None:
    hints = _hints(kind)
    if not (changes := _changes(hints, change)):
        return None
    from typing import NotRequired, Required

    from typing_extensions import TypedDict  # before Python 3.12 pydantic takes no other

    fields = {}
    for name, hint in hints.items():
        required = name in kind.__required_keys__
        fields[name] = (Required if required else NotRequired)[changes.get(name, hint)]
    made: Any = TypedDict
    model = made(kind.__name__, fields)
    return Annotated[kind, ReadAs(kind, model, lambda read: read)]


def _named_tuple(kind: Any, change: Change) -> Any | None:
    hints = _hints(kind)
    if not (changes := _changes({name: hints[name] for name in kind._fields if name in hints}, change)):
        return None
    make: Any = typing.NamedTuple
    model = make(kind.__name__, [(name, changes.get(name, hints.get(name, Any))) for name in kind._fields])
    model.__new__.__defaults__ = tuple(kind._field_defaults.values())
    model._field_defaults = dict(kind._field_defaults)
    return Annotated[kind, ReadAs(kind, model, lambda read: kind(*read))]


@lru_cache(maxsize=1024)
def holds_bytes(answer: type[BaseModel]) -> bool:
    """Whether a result has bytes in a dataclass, a TypedDict or a NamedTuple, which pydantic would write as text."""
    return _holds_bytes(answer.model_fields["result"].annotation, set(), False)


def _holds_bytes(kind: Any, seen: set[Any], within: bool) -> bool:
    from typing_extensions import is_typeddict

    if kind is bytes or kind is bytearray:
        return within
    if isinstance(kind, type) and typing.get_origin(kind) is None:
        fields = dataclasses.is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "_fields")
        if not fields or hasattr(kind, "__pydantic_validator__") or kind in seen:
            return False
        seen.add(kind)
        return any(_holds_bytes(hint, seen, True) for hint in _hints(kind).values())
    return any(_holds_bytes(each, seen, within) for each in typing.get_args(kind) if not isinstance(each, list))
