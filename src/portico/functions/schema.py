"""JSON Schema (2020-12) of what a function takes and gives, for forms and for agents.

It is pydantic's, but for what forms and agents cannot use: the title of the whole, defaults that no JSON can hold.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Literal

from portico.functions.values.annotations import result_schema

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

LONGEST_DEFAULT = 10_000
"""Characters of a default in a schema: an array or a table may be any size, and each page and agent is sent it."""


def input_schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """That of what callers give. Raises `pydantic.errors.PydanticInvalidForJsonSchema`."""
    schema = _schema(arguments, "validation")
    schema.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def output_schema(answer: type[BaseModel]) -> dict[str, Any] | None:
    """That of the field ``result``, with all that it refers to; None if anything may come."""
    schema = _schema(answer, "serialization")
    result: dict[str, Any] = schema["properties"]["result"]
    if result.get("title") == "Result":
        del result["title"]
    if "$defs" in schema:
        result["$defs"] = schema["$defs"]
    return result or None


def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    schema: dict[str, Any] = _without_odd_defaults(model.model_json_schema(schema_generator=generator(), mode=mode))
    return schema


@functools.cache
def generator() -> type[GenerateJsonSchema]:
    """What pydantic makes schemas with."""
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        """Leaves out without a warning what no JSON can hold: defaults, members of a union."""

        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 -- pydantic's own

        def is_subclass_schema(self, schema: Any) -> JsonSchemaValue:
            """Pydantic's own has one that lets anything through, though no JSON is a class."""
            return self.handle_invalid_for_json_schema(schema, "a class")

        def is_instance_schema(self, schema: Any) -> dict[str, Any]:
            """An array or a table in a dataclass that is a result has a schema; of other classes nothing is known."""
            if self.mode == "validation":
                return super().is_instance_schema(schema)
            return result_schema(schema["cls"])

    return Quiet


def _without_odd_defaults(schema: Any) -> Any:
    """*schema* without defaults such as NaN, and without large ones."""
    if isinstance(schema, dict):
        return {
            key: _without_odd_defaults(value)
            for key, value in schema.items()
            if key != "default" or _is_usual_default(value)
        }
    if isinstance(schema, list):
        return [_without_odd_defaults(value) for value in schema]
    return schema


def _is_usual_default(value: Any) -> bool:
    if value is None or value.__class__ in (bool, int):
        return True
    return is_json(value) and len(json.dumps(value)) <= LONGEST_DEFAULT


def is_json(value: Any) -> bool:
    """Whether JSON can hold *value* as it is."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def is_strict(core_schema: Any) -> bool:
    """Whether some part of pydantic's own schema is strict: it tells what came as JSON from other values."""
    if isinstance(core_schema, dict):
        return core_schema.get("strict") is True or any(map(is_strict, core_schema.values()))
    return isinstance(core_schema, list | tuple) and any(map(is_strict, core_schema))
