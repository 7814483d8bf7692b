"""A result in the form that its caller asks for by ``Accept``: JSON, CSV, Arrow, pictures, ``.npy``, text, HTML.

Here: which forms there are for which values, and what makes each. Not here: how a value of a family is written
(`arrays`, `tables`, `images`, `figures`), streams of items, and status codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portico.errors import UnusableOutput, UnusableRequest
from portico.functions.values import accepting, displays, json_form
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


@dataclass(frozen=True, slots=True)
class Encoded:
    """A result as it is answered."""

    media_type: str
    """With its charset, if it is text."""
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """More of them for the answer's head."""


def encode(
    value: Any, accept: str, typed: TypedFunction, report: Callable[[BaseException], None] | None = None
) -> Encoded:
    """*value*, which *typed* has returned, in the form that *accept* asks for; JSON if that is as good as any.

    Raises `UnusableRequest` (406) where none of its forms is wanted: it names them. Raises `UnusableOutput` where the
    result is not what the function's annotation says, or has no form at all.

    It may take as long as the result is large, and runs code of the result's own: not for an event loop, unless
    `is_quick` says so. *report* is told what a display's code raises.
    """
    if not accept or accept in ("*/*", JSON):
        try:
            return Encoded(JSON, json_form.result_bytes(value, typed))
        except UnusableOutput:
            json_form.check(value, typed)
            others = [] if accept == JSON else [form for form in _forms_of(value).items() if form[0] != TEXT]
            if not others:
                raise
            return _made(*others[0])
    if accepting.names(accept, DISPLAY):
        return Encoded(DISPLAY, _display(value, typed, report))
    forms = _forms_of(value)
    media_type = accepting.choose(accept, [JSON, *forms])
    if media_type is None:
        raise UnusableRequest(
            f"The result cannot be given as {accept[:200]}. There is: {', '.join([JSON, *forms])}.",
            406,
            code="not_acceptable",
        )
    if media_type == JSON:
        return Encoded(JSON, json_form.result_bytes(value, typed))
    json_form.check(value, typed)
    return _made(media_type, forms[media_type])


_PLAIN: Final = frozenset({int, float, bool, type(None)})


def is_quick(value: Any) -> bool:
    """Whether *value* is written in no time, so that an event loop may do it."""
    kind = value.__class__
    if kind in _PLAIN or (kind in (str, bytes) and len(value) < 2**16):
        return True
    return kind in (list, tuple, dict) and len(value) < 100 and all(each.__class__ in _PLAIN for each in value)


def _made(media_type: str, make: Callable[[], bytes | str]) -> Encoded:
    body = make()
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return Encoded(media_type, body, _NO_ACT)


def _forms_of(value: Any) -> dict[str, Callable[[], bytes | str]]:
    """What *value* can be given as besides JSON, the best first."""
    family = family_of(value.__class__)
    forms: dict[str, Callable[[], bytes | str]] = {}
    if family in ("frame", "series", "arrow"):
        from portico.functions.values import tables

        library = library_of(value)
        forms[tables.CSV] = lambda: tables.to_csv(value, library)
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
    elif isinstance(value, str):
        forms[TEXT] = lambda: value
        return forms
    for media_type, make in displays.rich_forms(value).items():
        if media_type not in forms and media_type not in _NOT_GIVEN:
            forms[media_type] = lambda make=make: _rich(make)  # type: ignore[misc]
    forms.setdefault(TEXT, lambda: displays.text_of(value))
    return forms


_NOT_GIVEN: Final = {"application/json", "application/javascript"}
"""Forms of a display that are no form of an answer: scripts, and JSON, which is ours."""


def _rich(make: Callable[[], Any]) -> bytes | str:
    made = make()
    if isinstance(made, tuple) and made:
        made = made[0]
    if isinstance(made, bytes | str):
        return made
    raise UnusableOutput("The function's result has no such form, though it offers one.")


def _display(value: Any, typed: TypedFunction, report: Callable[[BaseException], None] | None) -> bytes:
    """The result for the page. It has no ``result`` where no JSON can hold it."""
    from pydantic_core import to_json

    shown = displays.display(value, report)
    text = shown.pop(TEXT)
    rest = to_json({"text": text, "display": shown}, inf_nan_mode="null", bytes_mode="base64", fallback=str)
    json_form.check(value, typed)
    try:
        result = json_form.result_bytes(value, typed)
    except UnusableOutput:
        if not shown:
            raise
        return rest
    return result[:-1] + b"," + rest[1:]
