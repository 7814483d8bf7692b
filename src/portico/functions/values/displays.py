"""A result as a notebook would show it: HTML, pictures, text, each under its media type.

Where there is an IPython shell, its own formatters say (so whatever a user has registered there holds); else the
object's ``_repr_*_`` methods do, as IPython asks for them. What an object's code raises there is told to its author,
and costs one form of the display, not the answer.

Source: IPython, "Integrating your objects with IPython".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from portico.calls.endings import is_failure
from portico.functions.values.bounds import DISPLAY, TEXT
from portico.functions.values.families import family_of
from portico.functions.values.uploads import to_base64
from portico.packages import loaded

METHODS: Final = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "text/latex": "_repr_latex_",
    "application/json": "_repr_json_",
    "application/javascript": "_repr_javascript_",
    "application/pdf": "_repr_pdf_",
}
"""IPython's protocol: the method for each media type."""

_MEDIA_TYPE: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}/[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
"""RFC 9110 §8.3.1, without parameters."""

_NEEDS_A_KERNEL: Final = "application/vnd.jupyter."
"""What begins so is a view of a widget, whose model a kernel has."""

Report = Callable[[BaseException], object]
"""Told what an object's own code raises."""


def display(value: Any, report: Report | None = None) -> dict[str, Any]:
    """*value* by media type: text as str, binary data as base64 text, JSON as its value.

    A form larger than `DISPLAY` is left out. ``text/plain`` is always there, cut at `TEXT` characters.
    """
    forms = _forms(value, report)
    text = forms.pop("text/plain", None)
    shown = {"text/plain": _cut(text) if isinstance(text, str) else text_of(value, report)}
    for media_type, data in forms.items():
        if not media_type.startswith(_NEEDS_A_KERNEL):
            kept = _kept(data, media_type)
            if kept is not None:
                shown[media_type] = kept
    return shown


def text_of(value: Any, report: Report | None = None) -> str:
    """What Python itself shows of *value*, cut at `TEXT` characters."""
    text = made(lambda: repr(value), report)
    if not isinstance(text, str):
        return f"<{type(value).__name__}>"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[:TEXT]}…"


def rich_forms(value: Any, report: Report | None = None) -> dict[str, Callable[[], Any]]:
    """The forms that *value* says it has, by media type; what makes each gives None where it has it not after all."""
    found: dict[str, Callable[[], Any]] = {}
    for media_type, data in _bundle(value, report).items():
        found[media_type] = lambda data=data: data  # type: ignore[misc]
    for media_type, name in METHODS.items():
        if media_type not in found and _has(value, name):
            method = getattr(value, name)
            found[media_type] = lambda method=method: made(lambda: _data(method()), report)  # type: ignore[misc]
    return found


def made(make: Callable[[], Any], report: Report | None) -> Any:
    """What *make* gives, which runs an object's own code; None where that fails, and *report* is told."""
    try:
        return make()
    except BaseException as error:
        if not is_failure(error, stopped=False):
            raise
        if report is not None:
            report(error)
        return None


def _forms(value: Any, report: Report | None) -> dict[str, Any]:
    if family_of(value.__class__) == "figure":
        from portico.functions.values.figures import to_bytes

        picture = made(lambda: to_bytes(value), report)
        return {} if picture is None else {"image/png": picture}
    # what has `_ipython_display_` would show itself under the cell, and not here
    if not _has(value, "_ipython_display_") and (formatter := _formatter()) is not None:
        told = made(lambda: formatter.format(value), report)
        return {} if told is None else {str(media_type): data for media_type, data in told[0].items()}
    return {media_type: make() for media_type, make in rich_forms(value, report).items()}


def _bundle(value: Any, report: Report | None) -> dict[str, Any]:
    """What ``_repr_mimebundle_`` gives."""
    if not _has(value, "_repr_mimebundle_"):
        return {}
    told = made(lambda: _data(value._repr_mimebundle_(include=None, exclude=None)), report)
    if not isinstance(told, Mapping):
        return {}
    return {media_type: data for media_type, data in told.items() if _is_media_type(media_type) and data is not None}


def _is_media_type(name: object) -> bool:
    """Whether *name* may go into a header."""
    return isinstance(name, str) and _MEDIA_TYPE.fullmatch(name) is not None


def _has(value: Any, name: str) -> bool:
    """Whether *value*'s class has that method: an attribute of any name, as a mock has, is none."""
    return not isinstance(value, type) and callable(getattr(type(value), name, None))


def _data(told: Any) -> Any:
    """The data, where a method may give metadata with them."""
    return told[0] if isinstance(told, tuple) and len(told) == 2 else told


def _formatter() -> Any:
    """The notebook's own formatter, where this is a notebook."""
    get_ipython = loaded("IPython", "get_ipython")
    shell = get_ipython() if get_ipython is not None else None
    return getattr(shell, "display_formatter", None)


def is_binary(media_type: str) -> bool:
    """Whether text of that media type is base64, as IPython has it."""
    return (media_type.startswith(("image/", "audio/", "video/")) and media_type != "image/svg+xml") or (
        media_type == "application/pdf"
    )


def _kept(data: Any, media_type: str) -> Any:
    """*data* as the answer holds it; None for what is too large, or what JSON does not know."""
    if isinstance(data, bytes | bytearray | memoryview):
        return to_base64(data) if len(data) <= DISPLAY else None
    if isinstance(data, str):
        if len(data) > DISPLAY:
            return None
        return "".join(data.split()) if is_binary(media_type) else without_halves(data)
    try:
        text = json.dumps(data, allow_nan=False)
        return json.loads(without_halves(text)) if len(text) <= DISPLAY else None
    except (TypeError, ValueError, RecursionError):
        return None


def without_halves(text: str) -> str:
    """*text* with U+FFFD for each half of a surrogate pair, which UTF-8 has not."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
