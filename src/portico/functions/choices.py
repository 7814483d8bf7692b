"""Bounds what is tried with values of types that are one of several, and hold themselves: trees of expressions, say.

pydantic tries each choice of a union, and with it all that is inside. So of ``Add | Mul | Neg``, each of which holds
such a value again, it looks at the innermost one of 12 levels 3 ** 12 times: a body of some hundred bytes would keep
the process busy for hours. Choices that are told apart before (by a discriminator, or as a list is from an object) cost
nothing of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_TRIED = 100_000
"""Lists and objects that are looked at, each as often as it is looked at: about a second's work."""

_KEYS_OF_NO_SCHEMA = frozenset(
    ("metadata", "cls", "default", "serialization", "function", "config", "ref", "schema_ref")
)
_OBJECTS = frozenset(("model", "model-fields", "typed-dict", "dataclass", "dataclass-args", "dict", "tagged-union"))
_ARRAYS = frozenset(("list", "tuple", "set", "frozenset", "generator"))
_WITHIN = ("schema", "lax_schema", "steps")
"""Under which keys a schema that only wraps another has it: defaults, nullables, functions."""


def most_choices(schema: Any) -> int:
    """How many choices pydantic tries with one value at most, where each of them may hold such values again.

    *schema* is a core schema, of a model's arguments. 1 where no value is tried more than once.
    """
    graph = _Graph(schema)
    return max((graph.choices(union) for union in graph.unions), default=1)


def is_too_deep(given: Mapping[str, Any], choices: int) -> bool:
    """Whether it would take too long to try all *choices* with the lists and objects in *given*."""
    level: list[Any] = [value for value in given.values() if value.__class__ is dict or value.__class__ is list]
    each, tried = 1, 0
    while level:
        each *= choices
        tried += each * len(level)
        if tried > MOST_TRIED:
            return True
        level = [
            value
            for one in level
            for value in (one.values() if one.__class__ is dict else one)
            if value.__class__ is dict or value.__class__ is list
        ]
    return False


class _Graph:
    """The parts of a schema, and which leads to which."""

    def __init__(self, schema: Any) -> None:
        self.unions: list[dict[str, Any]] = []
        self._definitions: dict[str, dict[str, Any]] = {}
        seen: set[int] = set()
        waiting = [schema]
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, dict):
                if isinstance(ref := one.get("ref"), str):
                    self._definitions[ref] = one
                if one.get("type") == "union":
                    self.unions.append(one)
            waiting.extend(_inner(one))

    def choices(self, union: dict[str, Any]) -> int:
        """How many choices of *union* take the same kind of value, and lead to *union* again."""
        counts = {"array": 0, "object": 0}
        for choice in self._flat(union, set()):
            if not self._leads_to(choice, union):
                continue
            for kind in self._kinds(choice):
                counts[kind] += 1
        return max(1, *counts.values())

    def _flat(self, union: dict[str, Any], seen: set[int]) -> Iterator[Any]:
        """The choices, those of a union that is one of them in its place."""
        seen.add(id(union))
        for choice in union["choices"]:
            one = self._unwrapped(choice[0] if isinstance(choice, tuple) else choice)
            if isinstance(one, dict) and one.get("type") == "union" and id(one) not in seen:
                yield from self._flat(one, seen)
            else:
                yield one

    def _unwrapped(self, schema: Any) -> Any:
        """What a reference, a default, a nullable or a function has in it."""
        for _ in range(_LAYERS):
            if not isinstance(schema, dict) or schema.get("type") in _OBJECTS | _ARRAYS | {"union"}:
                return schema
            if schema.get("type") == "definition-ref":
                schema = self._definitions.get(schema["schema_ref"])
                continue
            inner = next((schema[key] for key in _WITHIN if key in schema), None)
            if inner is None:
                return schema
            schema = inner[0] if isinstance(inner, list) and inner else inner
        return schema

    def _leads_to(self, schema: Any, target: dict[str, Any]) -> bool:
        seen: set[int] = set()
        waiting = [schema]
        while waiting:
            one = waiting.pop()
            if one is target:
                return True
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, dict) and one.get("type") == "definition-ref":
                waiting.append(self._definitions.get(one["schema_ref"]))
            waiting.extend(_inner(one))
        return False

    def _kinds(self, schema: Any) -> tuple[str, ...]:
        """Which values a choice takes that can hold others; both, where that is not known."""
        kind = schema.get("type") if isinstance(schema, dict) else None
        if kind in _OBJECTS:
            return ("object",)
        return ("array",) if kind in _ARRAYS else ("array", "object")


_LAYERS = 50
"""Of what wraps a schema: more than anybody writes, and a schema may lead to itself."""


def _inner(schema: Any) -> list[Any]:
    if isinstance(schema, dict):
        return [value for key, value in schema.items() if key not in _KEYS_OF_NO_SCHEMA]
    return list(schema) if isinstance(schema, list | tuple) else []
