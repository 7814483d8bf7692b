"""A function's failure: what its caller is told, which is never a traceback, and what its author is shown."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from portico.calls.other_loop import explain
from portico.errors import FunctionError
from portico.functions.given import Given
from portico.log_text import one_line
from portico.packages import loaded
from portico.types import Headers

log = logging.getLogger(__name__)

MOST_TOLD = 500
"""Characters of an exception's text that its caller is told: enough for a sentence or two."""

_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.1
_OURS = frozenset(("content-length", "content-type", "transfer-encoding", "connection", "x-request-id"))
"""Headers that a function's HTTPException cannot set, since the answer has its own."""

_MOST_NAME = 100
"""Characters of its class's name: code can make classes of any name."""


def failure_of(error: BaseException) -> FunctionError:
    """What the caller is told of what a function raised: never a traceback."""
    http_exception = loaded("starlette.exceptions", "HTTPException")  # FastAPI's is one, too
    if http_exception is not None and isinstance(error, http_exception):
        message = _text_of(error.detail)
        headers = _headers_of(error.headers)
        return FunctionError("", message, status=error.status_code, detail=error.detail, headers=headers)
    return FunctionError(one_line(type(error).__name__, _MOST_NAME), _text_of(error))


def status_of(failure: FunctionError) -> int:
    """The status of the answer that tells of *failure*: an HTTPException may have said any."""
    return failure.status if isinstance(failure.status, int) and 200 <= failure.status <= 599 else 500


def fields_of(failure: FunctionError) -> Headers:
    """The header fields that go out with *failure*; those that no answer can have are left out."""
    return [
        (name.lower().encode(), value.encode("latin-1"))
        for name, value in failure.headers.items()
        if _FIELD.fullmatch(name) and name.lower() not in _OURS and value.isprintable() and _is_latin(value)
    ]


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)


def _headers_of(given: object) -> dict[str, str]:
    """Those of an HTTPException, which checks none of them: a number, as in ``{"Retry-After": 5}``, is its text."""
    if not isinstance(given, Mapping):
        return {}
    return {name: str(value) for name, value in given.items() if isinstance(name, str) and isinstance(value, str | int)}


def _text_of(error: object) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - an exception's own __str__ may do anything
        return ""
    return one_line(" ".join(text[: 10 * MOST_TOLD].split()), MOST_TOLD)


def report_failure(name: str, error: BaseException, given: Given) -> None:
    """Show the function's author what it has raised."""
    try:
        explain(error)
    except Exception:  # noqa: BLE001 - the text of somebody's exception, which may raise
        pass
    try:
        if given.report is not None:
            given.report(error)
        else:
            log.error("The function %r failed", name, exc_info=error)
    except Exception:  # the hook is not ours, and its failure must not hide the function's
        log.exception("A failure of the function %r could not be reported", name)
