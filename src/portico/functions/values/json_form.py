"""A result as JSON, whatever it holds: arrays, tables, images, models, dates, and containers of all of these.

Two ways lead there. Where pydantic knows a result's type by the annotation, its serializer writes it, and asks
`fallback` for what it does not know. Without an annotation `plain` looks through the result first, so that bytes are
the same base64 everywhere.

NaN and infinite numbers, which JSON does not have, become null, as in JavaScript, pandas and pydantic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from portico.calls.endings import is_failure
from portico.calls.json_text import compact
from portico.errors import UnusableOutput
from portico.functions.values.bounds import one_line
from portico.functions.values.classes import holds_bytes
from portico.functions.values.families import family_of, library_of
from portico.functions.values.uploads import data_url, to_base64
from portico.packages import loaded

if TYPE_CHECKING:
    from portico.functions.typed import TypedFunction

_LEAVES = frozenset({str, int, float, bool, type(None)})
_DEEP = 100
"""How deep a result is nested at most: JSON parsers of other languages stop there or a little later."""


def json_bytes(value: Any) -> bytes:
    """*value* as JSON in UTF-8. Raises `UnusableOutput` for what JSON cannot hold, and says what would do."""
    from pydantic_core import to_json

    given = value
    try:
        if value.__class__ not in _LEAVES:
            given = plain(value)
        return to_json(given, inf_nan_mode="null", bytes_mode="base64", fallback=fallback)
    except UnusableOutput:
        raise
    except BaseException as error:  # noqa: BLE001 - the result's own code, and what pydantic makes of that
        return _anyway(given, error)


def to_json(value: Any) -> str:
    """The same as text: an item of a stream."""
    return json_bytes(value).decode()


def result_bytes(value: Any, typed: TypedFunction) -> bytes:
    """``{"result": value}`` as JSON in UTF-8, once *value* is seen to be what the function says that it returns.

    Raises `UnusableOutput` where it is not, and for what JSON cannot hold.
    """
    answer = typed.answer
    if answer.model_fields["result"].annotation is Any:
        return b'{"result":' + json_bytes(value) + b"}"
    checked = check(value, typed)
    if holds_bytes(answer):
        return b'{"result":' + json_bytes(checked.__dict__["result"]) + b"}"
    try:
        return answer.__pydantic_serializer__.to_json(checked, fallback=fallback, by_alias=True)
    except BaseException as error:  # noqa: BLE001 - as above
        return _anyway({"result": checked.__dict__["result"]}, error)


def json_value(value: Any, typed: TypedFunction) -> Any:
    """What `result_bytes` says of *value*, as Python's own dicts, lists, texts and numbers."""
    from pydantic_core import from_json

    return from_json(result_bytes(value, typed))["result"]


def check(value: Any, typed: TypedFunction) -> Any:
    """The answer with *value* as its result. Raises `UnusableOutput` where that is not what the annotation promises."""
    try:
        return typed.answer.__pydantic_validator__.validate_python({"result": value})
    except BaseException as error:  # validators are the author's code, too
        from pydantic import ValidationError

        if not isinstance(error, ValidationError):
            raise unwritable(value, error) from error
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"][1:]))
        text = f"The function returned a {type(value).__name__}, which is not what its annotation says"
        raise UnusableOutput(f"{text}: {f'{where}: ' if where else ''}{first['msg']}.") from error


def unwritable(value: Any, error: BaseException) -> UnusableOutput:
    """The function's failure that *error* is, which was raised as *value* was written. Raises it if it is none."""
    if not is_failure(error, stopped=False):
        raise error
    said = f"{type(error).__name__}: {one_line(error)}"
    return UnusableOutput(f"The function's result, a {type(value).__name__}, cannot be written: {said}")


def _anyway(value: Any, error: BaseException) -> bytes:
    """What pydantic does not write: text with half of a surrogate pair. Raises `UnusableOutput` for the rest."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    if not isinstance(error, PydanticSerializationError):
        raise unwritable(value, error) from error
    text = str(error)
    if "surrogates not allowed" in text:
        try:
            return compact(_finite(to_jsonable_python(plain(value), fallback=fallback))).encode()
        except (ValueError, RecursionError):
            pass
    if "invalid utf-8" in text:
        raise UnusableOutput(
            "The function's result has bytes in a model that are no text: give the model"
            " model_config = ConfigDict(ser_json_bytes='base64')."
        ) from error
    if "Circular reference" in text:
        raise UnusableOutput("The function's result refers to itself, which JSON cannot.") from error
    _, ours, said = text.partition(f"{UnusableOutput.__name__}: ")  # what `fallback` raised, as pydantic tells it
    raise UnusableOutput(
        said if ours else f"The function's result cannot be written as JSON: {one_line(error)}"
    ) from error


def _finite(value: Any) -> Any:
    if value.__class__ is float:
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value


def plain(value: Any, depth: int = 0) -> Any:
    """*value* with all that pydantic does not know, and all bytes, put as JSON has them."""
    kind = value.__class__
    if kind in _LEAVES:
        return value
    if depth > _DEEP:
        raise UnusableOutput("The function's result is nested too deeply for JSON, or refers to itself.")
    if kind is list or kind is tuple:
        if _LEAVES.issuperset(map(type, value)):
            return value
        return [plain(each, depth + 1) for each in value]
    if kind is dict:
        return {_key(key): plain(each, depth + 1) for key, each in value.items()}
    if kind in (set, frozenset):
        return [plain(each, depth + 1) for each in value]
    if (family := family_of(kind)) is not None:
        return of_family(value, family, depth)
    if dataclasses.is_dataclass(kind) and not hasattr(kind, "__pydantic_serializer__"):
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list) and not hasattr(kind, "__pydantic_serializer__"):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, Mapping) and not hasattr(kind, "__pydantic_serializer__"):
        return {_key(key): plain(each, depth + 1) for key, each in value.items()}
    return value


def _key(key: Any) -> Any:
    if key.__class__ is bytes:
        return to_base64(key)
    if isinstance(key, tuple):
        return ",".join(str(each) for each in key)
    return key


def fallback(value: Any) -> Any:
    """What pydantic is told of a value that it does not know. Raises `UnusableOutput` if there is no JSON for it."""
    kind = value.__class__
    if (family := family_of(kind)) is not None:
        return of_family(value, family, 0)
    if isinstance(value, range):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if (missing := loaded("pandas", "NA")) is not None and value is missing:
        return None
    spans = tuple(span for name in ("Period", "Interval") if (span := loaded("pandas", name)) is not None)
    if isinstance(value, spans):
        return str(value)
    if (shown := _of_notebook(value)) is not None:
        return shown
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    if hasattr(kind, "tolist") and hasattr(kind, "shape"):  # tensors of torch, JAX and others
        return value.tolist()
    raise UnusableOutput(
        f"The function gave a value of type {type(value).__name__}, which cannot be written as JSON. Return numbers, "
        "text, lists, dicts, a dataclass, a pydantic model, an array, a table, an image or a figure."
    )


def of_family(value: Any, family: str, depth: int) -> Any:
    """*value*, of *family*, as what JSON or pydantic knows."""
    if family in ("array", "scalar"):
        from portico.functions.values.arrays import to_lists

        lists = to_lists(value)
        return plain(lists, depth + 1) if value.dtype.kind in "OSV" else lists
    if family in ("frame", "series", "arrow"):
        from portico.functions.values.tables import to_json_form

        return plain(to_json_form(value, family, library_of(value)), depth + 1)
    if family == "image":
        from portico.functions.values.images import to_data_url

        return to_data_url(value)
    if family == "figure":
        from portico.functions.values.figures import to_data_url as figure_data_url

        return figure_data_url(value)
    if family == "bytes":
        return to_base64(value)
    if family == "stream" and hasattr(value, "getvalue"):
        return to_base64(value.getvalue())
    if family == "moment":
        return None if value != value else value.isoformat()
    if family == "path":
        return str(value)
    raise UnusableOutput(f"The function gave a value of type {type(value).__name__}, which cannot be written as JSON.")


def _of_notebook(value: Any) -> Any:
    """What IPython's own objects hold: the text of HTML or Markdown, a picture as a ``data:`` URL or by its URL."""
    kind = value.__class__
    if not kind.__module__.startswith("IPython."):
        return None
    data = getattr(value, "data", None)
    if isinstance(data, bytes):
        media_type = getattr(value, "_mimetype", None) or getattr(value, "mimetype", None) or "application/octet-stream"
        return data_url(data, media_type)
    return getattr(value, "url", None) if data is None else data
