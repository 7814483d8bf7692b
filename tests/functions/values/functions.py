"""Functions of one parameter and one result: what callers give goes in, an answer comes out."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from portico.errors import UnusableRequest
from portico.functions.calling import validate
from portico.functions.signature import typed_function
from portico.functions.typed import TypedFunction
from portico.functions.values.encodings import Encoded, encode
from portico.functions.values.uploads import CallFiles, UploadedFile

EMPTY: Any = inspect.Parameter.empty


def function_of(kind: Any = EMPTY, result: Any = EMPTY, default: Any = EMPTY) -> TypedFunction:
    """A function ``it(value: kind = default) -> result``."""

    def it(value: Any) -> Any:
        return value

    parameter = inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
    it.__signature__ = inspect.Signature([parameter], return_annotation=result)  # type: ignore[attr-defined]
    return typed_function(it)


def taken(kind: Any, given: Any, files: CallFiles | None = None) -> Any:
    """What the function gets for *given*."""
    return validate(function_of(kind), {"value": given}, files)[1]["value"]


def refusal(kind: Any, given: Any, files: CallFiles | None = None) -> str:
    """What the caller is told of *given*, which is refused."""
    try:
        value = taken(kind, given, files)
    except ValidationError as error:
        first = error.errors()[0]
        assert first["loc"][0] == "value"
        return str(first["msg"])
    raise AssertionError(f"it was taken: {value!r:.200}")


def tried(read: Callable[..., Any], *given: Any) -> Any:
    """What *read* makes of it; None if it refuses it as the caller's error. Anything else is raised."""
    try:
        return read(*given)
    except UnusableRequest as error:
        if error.status != 422:
            raise
        return None


def input_schema(kind: Any) -> dict[str, Any]:
    schema: dict[str, Any] = dict(function_of(kind).input_schema["properties"]["value"])
    schema.pop("title", None)
    return schema


def answered(value: Any, accept: str = "", result: Any = EMPTY) -> Encoded:
    return encode(value, accept, function_of(result=result))


def result_of(value: Any, result: Any = EMPTY) -> Any:
    """The result in the JSON answer."""
    encoded = answered(value, result=result)
    assert encoded.media_type == "application/json"

    def strict(text: str) -> Any:
        raise AssertionError(f"JSON has no {text}")

    return json.loads(encoded.body, parse_constant=strict)["result"]


def upload(data: bytes, filename: str = "file", content_type: str = "", files: CallFiles | None = None) -> UploadedFile:
    return (files or CallFiles()).add(filename, content_type, io.BytesIO(data))
