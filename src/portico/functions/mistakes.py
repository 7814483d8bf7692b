"""Bounds how many mistakes are found in what a caller gave: a body of a few MiB can hold millions of them.

pydantic keeps each mistake that it finds, which is what names every wrong field. Of 5 million wrong items in 14 MiB it
takes 30 seconds and 2 GiB. So what is large is read by a validator of the same schema that stops at the first mistake
in each list and dict, and at fields that are far too many. What is right is read alike by both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

log = logging.getLogger(__name__)

SMALL = 1000
"""Values, in all lists and dicts together, up to which every mistake is found: some mistakes each take some MiB."""

MOST_FIELDS = 10_000
"""Fields of one object that has fields of its own, in what is large: each that it does not know would be a mistake."""

_LISTS = frozenset(
    ("list", "set", "frozenset", "tuple", "deque", "generator", "dict", "frozendict", "ordered-dict", "counter")
)
_FIELDS = frozenset(("model-fields", "typed-dict", "dataclass-args"))
_NOT_SCHEMAS = frozenset(("metadata", "cls", "default", "serialization", "function", "config"))
"""Keys of a core schema that hold no schema which reads anything."""

_stopping: WeakKeyDictionary[type, Any] = WeakKeyDictionary()


def validator_of(arguments: Any, given: Mapping[str, Any]) -> Any:
    """What reads *given*: the validator of the model *arguments*, or the one that stops early, if *given* is large."""
    if is_small(given):
        return arguments.__pydantic_validator__
    validator = _stopping.get(arguments)
    if validator is None:
        validator = _stopping[arguments] = _make(arguments)
    return validator


def is_small(given: Any) -> bool:
    """Whether there are at most `SMALL` values in *given*, at any depth."""
    left = SMALL
    waiting = [given]
    while waiting:
        one = waiting.pop()
        left -= len(one)
        if left < 0:
            return False
        values = one if one.__class__ is list else one.values()
        waiting += [value for value in values if value.__class__ is dict or value.__class__ is list]
    return True


def _make(arguments: Any) -> Any:
    from pydantic_core import SchemaValidator

    schema = _stops_early(arguments.__pydantic_core_schema__)
    try:
        try:
            # Else it takes the validators that the models in it have already.
            return SchemaValidator(schema, _use_prebuilt=False)
        except TypeError:  # pydantic before 2.13 cannot be told so, and takes those of all classes that are complete
            with _incomplete(schema):
                return SchemaValidator(schema)
    except Exception:  # another version of pydantic, or a schema of somebody's own: it is as before, if it is slow
        log.debug("There is no early end for %s", arguments.__name__, exc_info=True)
        return arguments.__pydantic_validator__


@contextmanager
def _incomplete(schema: Any) -> Iterator[None]:
    """Have pydantic take no class of *schema* for complete meanwhile: that decides whose validators are taken."""
    complete = [cls for cls in _classes(schema) if vars(cls).get("__pydantic_complete__")]
    try:
        for cls in complete:
            type.__setattr__(cls, "__pydantic_complete__", False)
        yield
    finally:
        for cls in complete:
            type.__setattr__(cls, "__pydantic_complete__", True)


def _classes(schema: Any) -> set[type]:
    found: set[type] = set()
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(cls := one.get("cls"), type):
                found.add(cls)
            waiting += [value for key, value in one.items() if key not in _NOT_SCHEMAS]
        elif isinstance(one, list | tuple):
            waiting += one
    return found


def _stops_early(schema: Any) -> Any:
    """*schema*, pydantic's own (a core schema), with an early end in all that may hold any number of mistakes."""
    if isinstance(schema, list):
        return [_stops_early(one) for one in schema]
    if isinstance(schema, tuple):
        return tuple(_stops_early(one) for one in schema)
    if not isinstance(schema, dict):
        return schema
    changed = {key: value if key in _NOT_SCHEMAS else _stops_early(value) for key, value in schema.items()}
    kind = changed.get("type")
    if kind in _LISTS:
        changed["fail_fast"] = True
    elif kind in _FIELDS:
        return {"type": "function-before", "function": {"type": "no-info", "function": _few_fields}, "schema": changed}
    return changed


def _few_fields(given: Any) -> Any:
    if isinstance(given, dict) and len(given) > MOST_FIELDS:
        from pydantic_core import PydanticCustomError

        raise PydanticCustomError("too_many_fields", "There are too many fields")
    return given
