"""Structured output: reads what ``response_format`` asks for, and checks an answer against it.

Here: json_object and json_schema. A schema is checked with jsonschema where that is installed, else only the answer's
being JSON is. The schema is the client's, so what could keep the event loop busy for as long as the client likes is
bounded: no regular expression of it is run, so ``pattern``, ``patternProperties`` and what depends on them are not
checked; and no more than `MAX_REFERENCES` references are followed. Source: OpenAI API reference, ``response_format``;
JSON Schema 2020-12.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from portico.calls.body import kind
from portico.errors import InvalidRequest, UnusableOutput

log = logging.getLogger(__name__)

Check = Callable[[str], None]

MAX_REFERENCES = 20_000
"""References followed in one check, about a third of a second: thirty that each refer twice to the next never end."""


def check_of(response_format: Any, param: str = "response_format") -> Check | None:
    """The check for an answer's text; None where any text will do.

    It raises `UnusableOutput`. This function raises `InvalidRequest` for a response format that cannot be used; *param*
    is its path in the request.
    """
    if response_format is None:
        return None
    if not isinstance(response_format, Mapping):
        raise InvalidRequest(f"{param!r} must be an object, not {kind(response_format)}.", param)
    match response_format.get("type"):
        case "text":
            return None
        case "json_object":
            return _is_object
        case "json_schema":
            # The chat API nests it under json_schema; the responses API has it flat.
            inner = response_format.get("json_schema", response_format)
            path = f"{param}.json_schema" if "json_schema" in response_format else param
            if not isinstance(inner, Mapping):
                raise InvalidRequest(f"{path!r} must be an object, not {kind(inner)}.", path)
            return _schema_check(inner.get("schema"), f"{path}.schema")
        case other:
            if not isinstance(other, str):
                raise InvalidRequest(f"'{param}.type' must be a string.", f"{param}.type")
            if other in ("grammar", "python"):  # of the API, but nothing to check here
                return None
            raise InvalidRequest(f"'{param}.type' must be text, json_object or json_schema.", f"{param}.type")


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableOutput("The client asked for JSON, and the model's answer is not valid JSON.") from None


def _is_json(text: str) -> None:
    _loaded(text)


def _is_object(text: str) -> None:
    if not isinstance(_loaded(text), dict):
        raise UnusableOutput("The client asked for a JSON object, and the model's answer is not one.")


def _schema_check(schema: Any, path: str) -> Check:
    if schema is None:
        raise InvalidRequest(f"{path!r} is missing.", path)
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{path!r} must be an object, not {kind(schema)}.", path)
    try:
        import jsonschema
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError:
        return _is_json
    try:
        kind_of_validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        # Without a format checker, which would compile the regular expressions.
        kind_of_validator.check_schema(schema, format_checker=None)
        # An empty registry: a reference to somewhere else must not make this process fetch it.
        validator = _bounded(kind_of_validator)(_of_one_dialect(schema), registry=Registry())
    except jsonschema.SchemaError as error:
        raise InvalidRequest(f"{path!r} is not a valid JSON schema: {error.message[:300]}", path) from None
    except (RecursionError, TypeError, AttributeError, ValueError):
        raise InvalidRequest(f"{path!r} is not a valid JSON schema.", path) from None

    def check(text: str) -> None:
        value = _loaded(text)
        counted = _followed.set([0])
        try:
            error = next(validator.iter_errors(value), None)
        except (Unresolvable, RecursionError):
            raise InvalidRequest(f"{path!r} refers to something that is not in it.", path) from None
        except _TooManyReferences:
            raise InvalidRequest(f"{path!r} has more references than are followed.", path) from None
        finally:
            _followed.reset(counted)
        if error is not None:
            log.debug("The answer does not fit the schema: %s", error.message)
            where = error.json_path
            raise UnusableOutput(f"The model's answer does not fit the JSON schema that the client gave (at {where}).")

    return check


Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]
"""How jsonschema checks one keyword: of (validator, keyword's value, instance, schema), the errors."""


class _TooManyReferences(Exception):
    pass


_followed: ContextVar[list[int]] = ContextVar("followed")
"""How many references the present check has followed."""


@functools.cache
def _bounded(kind_of_validator: Any) -> Any:
    """A class of validators as *kind_of_validator*, within the bounds of this module."""
    import jsonschema

    known: Mapping[str, Keyword] = kind_of_validator.VALIDATORS
    changed: dict[str, Keyword] = {"additionalProperties": _where_there_are_no_patterns(known["additionalProperties"])}
    # The last two look for themselves into what is referred to, and at its patterns.
    for name in ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems"):
        changed[name] = _unchecked
    for name in ("$ref", "$dynamicRef", "$recursiveRef"):
        if name in known:
            changed[name] = _counted(known[name])
    return jsonschema.validators.extend(kind_of_validator, changed)


def _of_one_dialect(schema: Any) -> Any:
    """A copy of *schema* that names no dialect: where one is named, jsonschema goes on with a class of its own."""
    if isinstance(schema, Mapping):
        kept = ((key, value) for key, value in schema.items() if key != "$schema" or not isinstance(value, str))
        return {key: _of_one_dialect(value) for key, value in kept}
    return [_of_one_dialect(value) for value in schema] if isinstance(schema, list) else schema


def _unchecked(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    return None


def _counted(keyword: Keyword) -> Keyword:
    def follow(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        followed = _followed.get()
        followed[0] += 1
        if followed[0] > MAX_REFERENCES:
            raise _TooManyReferences
        return keyword(validator, value, instance, schema)

    return follow


def _where_there_are_no_patterns(keyword: Keyword) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        return None if "patternProperties" in schema else keyword(validator, value, instance, schema)

    return check
