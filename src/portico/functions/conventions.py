"""What a room reads in its own way of the functions that it serves.

Here: the record, and which fields `Conventions.as_dict` is about. Not here: how a signature is read (`signature`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from portico.functions.values.families import Family

if TYPE_CHECKING:
    from pydantic import BaseModel

Extra = Literal["forbid", "ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What a room reads in its own way of the functions that it serves."""

    extra: Extra = "forbid"
    """What becomes of fields that the function has no parameter for: an error, or nothing."""
    any_name: bool = False
    """Whether the room has its own rule for names."""
    parameter: Callable[[Any], Any] = lambda annotation: annotation
    """Gives the type that reads a parameter, in place of the one that the function says."""
    as_dict: Callable[[type], bool] = lambda kind: False
    """Whether the function gets a dict where a parameter's type is this model or dataclass, once that has read it."""
    plain: frozenset[Family] = frozenset()
    """Values that are left to pydantic as parameters: bytes and paths, say, which are texts to it."""
    describe: Callable[[str], str] = lambda name: ""
    """Describes a parameter of which neither the docstring nor its type says anything."""
    result: Callable[[Any], Any] = lambda annotation: annotation
    """Gives the type that a result is checked against, in place of what the function says that it returns."""


USUAL = Conventions()


def fields_with(which: Callable[[type], bool], arguments: type[BaseModel]) -> frozenset[str]:
    """The fields of *arguments* whose values may be, or hold, models or dataclasses that *which* is true of."""
    schema: Any = arguments.__pydantic_core_schema__
    definitions = {one["ref"]: one for one in schema.get("definitions", ())}
    while schema.get("type") != "model-fields":  # what pydantic wraps it in
        schema = schema["schema"]
    return frozenset(name for name, one in schema["fields"].items() if _holds(one, which, definitions, set()))


def _holds(schema: Any, which: Callable[[type], bool], definitions: dict[str, Any], seen: set[str]) -> bool:
    """Whether pydantic's own schema (a core schema) has such a part; within others it is not looked for."""
    if isinstance(schema, list | tuple):
        return any(_holds(one, which, definitions, seen) for one in schema)
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "definition-ref":
        if (ref := schema["schema_ref"]) in seen:
            return False
        seen.add(ref)
        return _holds(definitions.get(ref), which, definitions, seen)
    if schema.get("type") in ("model", "dataclass"):
        return which(schema["cls"])
    return any(_holds(one, which, definitions, seen) for key, one in schema.items() if key not in _NO_SCHEMAS)


_NO_SCHEMAS = frozenset(("metadata", "serialization", "cls", "function", "default"))
"""Keys of a core schema that hold no schemas of what is read."""
