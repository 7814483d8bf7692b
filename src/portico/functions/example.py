"""An example of a call, made of a function's schema: what a person can paste, and then change.

It has what must be given, or of a function that needs nothing, the first parameter. Its values are of the right types
and within the bounds that the schema says; a pattern they may miss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.functions.typed import TypedFunction

_DEEPEST = 4
"""Objects and lists in each other: a recursive model has no last one, and a line to paste is short."""

_LONGEST = 100
"""Characters of a text, and items of a list: of what must be longer, no example is made that fits."""

_TEXTS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
"""By the format that JSON Schema names (2020-12, "Defined Formats")."""


def arguments_of(typed: TypedFunction) -> dict[str, Any]:
    """Arguments that *typed* takes, but for files."""
    properties: Mapping[str, Any] = typed.input_schema.get("properties", {})
    given = [one for one in typed.parameters if not one.upload]
    chosen = [one.name for one in given if one.required] or [one.name for one in given[:1]]
    defined = typed.input_schema.get("$defs", {})
    return {name: example(properties.get(name, {}), defined) for name in chosen}


def files_of(typed: TypedFunction) -> tuple[str, ...]:
    """The parameters of *typed* that must be given as files, or the first that may be."""
    uploads = [one for one in typed.parameters if one.upload]
    return tuple(one.name for one in uploads if one.required) or tuple(one.name for one in uploads[:1])


def example(schema: Any, defined: Mapping[str, Any], depth: int = 0) -> Any:
    """A value for which *schema*, a JSON Schema, stands. *defined* are its ``$defs``."""
    if not isinstance(schema, Mapping):
        return None
    if "default" in schema and schema["default"] is not None:
        return schema["default"]
    if examples := schema.get("examples"):
        return examples[0]
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum"):
        return choices[0]
    if "$ref" in schema:
        return example(defined.get(str(schema["$ref"]).rpartition("/")[2], {}), defined, depth)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            some = [one for one in schema[several] if one != {"type": "null"}]
            return example(some[0], defined, depth) if some else None
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, defined, depth)
    if kind == "array":
        return _array(schema, defined, depth)
    if kind in ("number", "integer"):
        return _number(schema, whole=kind == "integer")
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    text = _TEXTS.get(str(schema.get("format", "")), "text")
    return text.ljust(min(schema.get("minLength", 0), _LONGEST), "x")[: schema.get("maxLength", _LONGEST)]


def _object(schema: Mapping[str, Any], defined: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if depth >= _DEEPEST:
        return {}
    return {name: example(properties.get(name), defined, depth + 1) for name in schema.get("required", ())}


def _array(schema: Mapping[str, Any], defined: Mapping[str, Any], depth: int) -> list[Any]:
    if depth >= _DEEPEST:
        return []
    if several := schema.get("prefixItems"):
        return [example(one, defined, depth + 1) for one in several]
    count = max(1, schema.get("minItems", 1)) if "items" in schema else schema.get("minItems", 0)
    return [example(schema.get("items", {}), defined, depth + 1)] * min(count, schema.get("maxItems", count), _LONGEST)


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    value: int | float = 1
    if "minimum" in schema:
        value = max(value, schema["minimum"])
    elif "exclusiveMinimum" in schema:
        value = max(value, schema["exclusiveMinimum"] + 1)
    if "maximum" in schema:
        value = min(value, schema["maximum"])
    elif "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        value = schema["exclusiveMaximum"] - 1
    if step := schema.get("multipleOf"):
        value = -(-value // step) * step
    return int(value) if whole else value
