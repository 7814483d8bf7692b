"""A result as a notebook would show it: HTML, pictures, text, each under its media type.

Where there is an IPython shell, its own formatters say (so whatever a user has registered there holds); else the
object's ``_repr_*_`` methods do, as IPython asks for them. What an object's code raises there is told to its author,
and costs one form of the display, not the answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from portico.functions.values.bounds import DISPLAY, TEXT
from portico.functions.values.families import family_of
from portico.functions.values.uploads import to_base64

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

Report = Callable[[BaseException], None]
"""Told what an object's own code raises."""


def display(value: Any, report: Report | None = None) -> dict[str, Any]:
    """*value* by media type: text as str, binary data as base64 text, JSON as its value.

    A form larger than `DISPLAY` is left out. ``text/plain`` is always there, cut at `TEXT` characters.
    """
    forms = _forms(value, report)
    shown = {"text/plain": text_of(value, report)}
    for media_type, data in forms.items():
        if media_type == "text/plain" or not isinstance(media_type, str):
            continue
        kept = _kept(data)
        if kept is not None:
            shown[media_type] = kept
    return shown


def text_of(value: Any, report: Report | None = None) -> str:
    """What Python itself shows of *value*, cut at `TEXT` characters."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - the object's own code
        if report is not None:
            report(error)
        text = f"<{type(value).__name__}>"
    return text if len(text) <= TEXT else f"{text[:TEXT]}…"


def rich_forms(value: Any) -> dict[str, Callable[[], Any]]:
    """The forms that *value* offers by its ``_repr_*_`` methods, none of them made yet."""
    found: dict[str, Callable[[], Any]] = {}
    if isinstance(value, type):
        return found
    for media_type, name in METHODS.items():
        if callable(getattr(type(value), name, None)):
            found[media_type] = getattr(value, name)
    return found


def _forms(value: Any, report: Report | None) -> dict[str, Any]:
    if family_of(value.__class__) == "figure":
        from portico.functions.values.figures import to_bytes

        return {"image/png": to_bytes(value)}
    if (formatter := _formatter()) is not None:
        data, _ = formatter.format(value, exclude=("text/plain",))
        return dict(data)
    bundle: dict[str, Any] = {}
    if not isinstance(value, type) and callable(getattr(type(value), "_repr_mimebundle_", None)):
        made = _made(lambda: value._repr_mimebundle_(include=None, exclude=None), report)
        if isinstance(made, tuple) and made:
            made = made[0]
        if isinstance(made, Mapping):
            bundle.update(made)
    for media_type, make in rich_forms(value).items():
        if media_type not in bundle:
            made = _made(make, report)
            if isinstance(made, tuple) and made:  # data and metadata
                made = made[0]
            if made is not None:
                bundle[media_type] = made
    return bundle


def _made(make: Callable[[], Any], report: Report | None) -> Any:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - the object's own code
        if report is not None:
            report(error)
        return None


def _formatter() -> Any:
    """The notebook's own formatter, where this is a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "display_formatter", None)


def _kept(data: Any) -> Any:
    """*data* as the answer holds it; None for what is too large, or what JSON does not know."""
    if isinstance(data, bytes | bytearray | memoryview):
        return to_base64(data) if len(data) <= DISPLAY else None
    if isinstance(data, str):
        return data if len(data) <= DISPLAY else None
    try:
        return data if len(json.dumps(data, allow_nan=False)) <= DISPLAY else None
    except (TypeError, ValueError, RecursionError):
        return None
