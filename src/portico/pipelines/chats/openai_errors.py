"""How errors of the OpenAI API look over pipelines: for Hayhooks' clients (``detail``) and for OpenAI's (``error``).

Here: the status, the body and the headers of an answer that is an error. Source: OpenAI API reference, "Error codes";
FastAPI's answers to bodies that cannot be used; Hayhooks 2.1 for the texts.
"""

from __future__ import annotations

from typing import Any

from portico.errors import APIError, FunctionError, InvalidRequest, PorticoError, UnusableRequest
from portico.functions.failing import failure_of, fields_of, status_of
from portico.models.wire import ErrorAnswer, error_object
from portico.models.wire import told as told_usually
from portico.pipelines.runs import FAILED, MOST_TOLD


def as_answer(error: BaseException) -> PorticoError | None:
    """The answer that a wrapper means by an exception, as by an HTTPException; None where it is a failure."""
    if isinstance(error, APIError):
        return error
    failure = failure_of(error)
    return None if failure.type else failure  # an HTTPException has none


def failed(error: BaseException, model: str) -> PorticoError:
    """What clients are told of a pipeline's exception."""
    return failure(FAILED, error)


def failure(what: str, error: BaseException) -> FunctionError:
    """An error that begins with *what* has failed, and goes on with the text of the exception."""
    try:
        text = str(error)[:MOST_TOLD]
    except BaseException:  # noqa: BLE001 - an exception's own __str__ may do anything
        text = ""
    return FunctionError("", f"{what}{text or type(error).__name__}")


def told(error: PorticoError) -> ErrorAnswer:
    """An error as both kinds of clients read it."""
    if isinstance(error, FunctionError):
        status, headers = status_of(error), fields_of(error)
        if status >= 500 and not any(name == b"retry-after" for name, _ in headers):
            headers.append((b"x-should-retry", b"false"))  # OpenAI's SDKs would run the pipeline three times
        return ErrorAnswer(status, {"detail": error.detail, "error": error_object(error)}, headers)
    usual = told_usually(error)
    status = usual.status
    if status == 400 and isinstance(error, InvalidRequest | UnusableRequest):
        status = 422  # as FastAPI has it
    detail: Any = _details(error) if status == 422 else str(error)
    return ErrorAnswer(status, {"detail": detail, **usual.body}, usual.headers)


def _details(error: PorticoError) -> list[dict[str, Any]]:
    """What is wrong with a body, as FastAPI says it."""
    field, code = None, None
    if isinstance(error, APIError):
        field, code = error.param, error.code
    elif isinstance(error, UnusableRequest):
        field, code = error.field, error.code
    return [{"type": code or "value_error", "loc": ["body", field] if field else ["body"], "msg": str(error)}]
