"""A result in the form that its caller asks for by ``Accept``: JSON, CSV, Arrow, pictures, ``.npy``, text, HTML.

Here: which forms there are for which values, and what makes each. Not here: how a value of a family is written
(`arrays`, `tables`, `images`, `figures`), streams of items, and status codes.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from binascii import Error, a2b_base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portico.calls.endings import is_failure
from portico.errors import UnusableOutput, UnusableRequest
from portico.functions.values import accepting, bounds, displays, json_form
from portico.functions.values.families import family_of, library_of

if TYPE_CHECKING:
    from portico.functions.typed import TypedFunction

JSON: Final = "application/json"
DISPLAY: Final = "application/vnd.portico.display+json"
"""What the page asks for: the result, its text, and its display."""
BYTES: Final = "application/octet-stream"
TEXT: Final = "text/plain"

_NO_ACT: Final = (
    (b"content-security-policy", b"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
    (b"x-content-type-options", b"nosniff"),
)
"""For all but JSON: whatever a result holds, it cannot act as a page of the service, nor load anything."""

_ENDINGS: Final = {
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrows",
    "application/x-npy": "npy",
    BYTES: "bin",
}
"""Endings of the names of those forms that a browser does not show, but saves."""

_NOT_GIVEN: Final = (JSON, "application/javascript")
"""Forms of a display that are no form of an answer: JSON is ours, and scripts are for pages alone."""

_PLAIN: Final = frozenset({int, float, bool, type(None)})

_LISTS: Final = frozenset({list, tuple, set, frozenset})
_SMALL: Final = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID, enum.Enum)
_QUICK: Final = 500
"""Values in lists, dicts and models, or thousands of characters, that are written within about 0.2 ms."""

Report = Callable[[BaseException], object]
Made = bytes | str | None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A result as it is answered."""

    media_type: str
    """With its charset, if it is text."""
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """More of them for the answer's head."""


def encode(value: Any, accept: str, typed: TypedFunction, report: Report | None = None) -> Encoded:
    """*value*, which *typed* has returned, in the form that *accept* asks for; JSON if that is as good as any.

    Raises `UnusableRequest` (406) where none of its forms is wanted: it names them. Raises `UnusableOutput` where the
    result is not what the function's annotation says, or has no form at all, and for whatever its own code raises.

    It may take as long as the result is large, and runs code of the result's own: not for an event loop, unless
    `is_quick` says so. *report* is told what a display's code raises.
    """
    try:
        if not accept or accept in ("*/*", JSON):
            return _json(value, accept, typed, report)
        return _asked_for(value, accept, typed, report)
    except (UnusableOutput, UnusableRequest):
        raise
    except BaseException as error:  # what writes a result is code of libraries and of the result's own
        if not is_failure(error, stopped=False):
            raise
        raise json_form.unwritable(value, error) from error


def is_quick(value: Any) -> bool:
    """Whether *value* is written in no time, so that an event loop may do it: what a thread costs is more than that."""
    kind = type(value)
    if kind in _PLAIN or (kind in (str, bytes) and len(value) < 2**16):
        return True
    left, level = _QUICK, [value]
    while level:
        each = level.pop()
        kind = type(each)  # a mock's __class__ is another
        if kind in _PLAIN:
            continue
        if kind is str or kind is bytes:
            left -= len(each) // 1000
        elif kind is dict:
            left -= len(each)
            level.extend(each.values() if left > 0 else ())
        elif kind in _LISTS:
            left -= len(each)
            level.extend(each if left > 0 else ())
        elif isinstance(each, _SMALL):
            continue
        elif hasattr(kind, "__pydantic_serializer__") or hasattr(kind, "__dataclass_fields__"):
            fields = getattr(each, "__dict__", None)
            if fields is None:  # one with slots
                return False
            left -= len(fields)
            level.extend(fields.values() if left > 0 else ())
        else:
            return False
        if left <= 0:
            return False
    return True


def _json(value: Any, accept: str, typed: TypedFunction, report: Report | None) -> Encoded:
    """JSON; or, where any form will do and the result has no JSON, the first of its others."""
    try:
        return Encoded(JSON, json_form.result_bytes(value, typed))
    except UnusableOutput:
        json_form.check(value, typed)
        if accept != JSON:
            for media_type, make in _forms_of(value, report).items():
                if media_type != TEXT and (body := make()) is not None:
                    return _encoded(media_type, body, typed)
        raise


def _asked_for(value: Any, accept: str, typed: TypedFunction, report: Report | None) -> Encoded:
    if accepting.names(accept, DISPLAY):
        return Encoded(DISPLAY, _display(value, typed, report))
    if accepting.choose(accept, (JSON, "*/*")) == JSON and accepting.ranges_of(accept)[:1] in ((JSON,), ()):
        return _json(value, JSON, typed, report)
    forms = _forms_of(value, report)
    while (media_type := accepting.choose(accept, [JSON, *forms])) is not None:
        if media_type == JSON:
            return _json(value, accept if "*/*" in accept else JSON, typed, report)
        json_form.check(value, typed)
        if (body := forms.pop(media_type)()) is not None:
            return _encoded(media_type, body, typed)
    there = ", ".join([JSON, *_forms_of(value, report)])
    raise UnusableRequest(
        f"The result cannot be given as {accept[:200]}. There is: {there}.", 406, code="not_acceptable"
    )


def _encoded(media_type: str, body: bytes | str, typed: TypedFunction) -> Encoded:
    headers = _NO_ACT
    if (ending := _ENDINGS.get(media_type)) is not None:
        name = f'attachment; filename="{typed.name}.{ending}"'.encode()
        headers = (*_NO_ACT, (b"content-disposition", name))  # type: ignore[assignment]
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return Encoded(media_type, body.encode("utf-8", "replace") if isinstance(body, str) else body, headers)


def _forms_of(value: Any, report: Report | None) -> dict[str, Callable[[], Made]]:
    """What *value* can be given as besides JSON, the best first. One that is None when it is made is not there."""
    family = family_of(value.__class__)
    forms: dict[str, Callable[[], Made]] = {}
    if family in ("frame", "series", "arrow"):
        from portico.functions.values import tables

        library = library_of(value)
        forms[tables.CSV] = lambda: tables.to_csv(value, library)
        if tables.writes_arrow(library):
            forms[tables.ARROW] = lambda: tables.to_arrow(value, library)
    elif family == "array":
        from portico.functions.values import arrays

        if not value.dtype.hasobject:
            forms[arrays.NPY] = forms[BYTES] = lambda: arrays.to_npy(value)
        if value.ndim in (1, 2) and not value.dtype.names:
            forms["text/csv"] = lambda: arrays.to_csv(value)
    elif family == "image":
        from portico.functions.values import images

        for media_type in images.WRITTEN:
            forms[media_type] = lambda media_type=media_type: images.to_bytes(value, media_type)  # type: ignore[misc]
    elif family == "figure":
        from portico.functions.values import figures

        for media_type in figures.WRITTEN:
            forms[media_type] = lambda media_type=media_type: figures.to_bytes(value, media_type)  # type: ignore[misc]
    elif family == "bytes":
        forms[BYTES] = lambda: bytes(value)
    elif family == "stream" and hasattr(value, "getvalue"):
        forms[BYTES] = lambda: bytes(value.getvalue())
    elif isinstance(value, str):
        return {TEXT: lambda: value}
    for media_type, make in displays.rich_forms(value, report).items():
        if media_type not in forms and media_type not in _NOT_GIVEN and not media_type.startswith("application/vnd."):
            forms[media_type] = lambda media_type=media_type, make=make: _rich(media_type, make())  # type: ignore[misc]
    forms.setdefault(TEXT, lambda: displays.text_of(value, report))
    return forms


def _rich(media_type: str, data: Any) -> Made:
    """What an object shows itself as, as the answer's body."""
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        if not displays.is_binary(media_type):
            return data
        try:
            return a2b_base64(data)
        except Error:
            return None
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _display(value: Any, typed: TypedFunction, report: Report | None) -> bytes:
    """The result for the page. It has no ``result`` where no JSON can hold it, or a page could not."""
    from pydantic_core import to_json

    shown = displays.display(value, report)
    text = shown.pop(TEXT)
    rest = to_json({"text": displays.without_halves(text), "display": shown}, inf_nan_mode="null", fallback=str)
    json_form.check(value, typed)
    try:
        result = json_form.result_bytes(value, typed)
    except UnusableOutput:
        if not shown:
            raise
        return rest
    return rest if len(result) > bounds.DISPLAY else result[:-1] + b"," + rest[1:]
