"""The type of a socket as that of a field: what callers send as JSON becomes what the component takes.

Here: Haystack's own classes in it. Source of the forms: Haystack's ``ChatMessage.to_dict`` and ``from_dict``.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Union

from portico.functions.fields import taken
from portico.functions.schema import generator
from portico.packages import loaded


def field_type(annotation: Any) -> Any:
    """*annotation*, of a socket, as pydantic takes it. `Any` for what no JSON can be: functions, tools.

    A message may also have the keys that the OpenAI API has: ``{"role": "user", "content": "Hi"}``.
    """
    try:
        kind = taken(with_messages(annotation))
    except Exception:  # noqa: BLE001 - the type may be anything, and a component may take what comes
        return Any
    return kind if _has_schema(kind) else Any


def most_exact(annotations: list[Any]) -> Any:
    """Of the types of all sockets that one value goes to, that which says most: ``int`` of int and ``int | None``."""
    known = [one for one in annotations if one is not Any]
    exact = [one for one in known if not _takes_none(one)]
    return (exact or known or [Any])[0]


def _has_schema(kind: Any) -> bool:
    from pydantic import TypeAdapter

    try:
        TypeAdapter(kind).json_schema(schema_generator=generator())
    except Exception:  # noqa: BLE001 - whatever a type's own code raises, it cannot be told
        return False
    return True


def with_messages(annotation: Any) -> Any:
    """*annotation* with messages of all forms, not of Haystack's own alone, at any depth of lists, dicts, unions."""
    message = loaded("haystack.dataclasses.chat_message", "ChatMessage")
    if message is not None and annotation is message:
        from pydantic import BeforeValidator

        return Annotated[annotation, BeforeValidator(_message)]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if not arguments or origin is typing.Literal:
        return annotation
    if origin is Annotated:
        return Annotated[(with_messages(arguments[0]), *arguments[1:])]
    inner = tuple(one if isinstance(one, list) or one is ... else with_messages(one) for one in arguments)
    if all(old is new for old, new in zip(arguments, inner, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[inner]  # noqa: UP007 -- not each type has an operator
    return origin[inner] if len(inner) > 1 or ... in inner else origin[inner[0]]


def _message(given: Any) -> Any:
    """A message of one of the forms that Haystack reads itself; what is none of them is left to pydantic."""
    if not isinstance(given, Mapping) or "role" not in given:
        return given
    message = loaded("haystack.dataclasses.chat_message", "ChatMessage")
    content = given.get("content")
    try:
        if isinstance(content, list) and not any("type" in part for part in content if isinstance(part, Mapping)):
            return message.from_dict({"meta": {}, "name": None, **given})
        return message.from_openai_dict_format(dict(given))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"it is no message: {error}") from error


def _takes_none(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)
