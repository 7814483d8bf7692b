"""Why arguments are refused: each wrong field, in the form that FastAPI's users know.

Here: what of pydantic's errors a visitor is told. What was sent is never repeated. Source: FastAPI, "Handling Errors".
"""

from __future__ import annotations

from typing import Any

from portico.packages import loaded

MOST_ERRORS = 100
"""Fields that are named: a list of a million wrong items is one mistake. pydantic makes a dict for each that is asked
for, and a body can hold millions of mistakes; of more than `COUNTED` only the number is told."""

COUNTED = 10_000

_MOST_TEXT = 500
"""Characters of one message, and `_MOST_NAME` of one part of a place: names of fields are the visitor's own."""
_MOST_NAME = 200


def is_invalid(error: BaseException) -> bool:
    """Whether *error* is pydantic's `ValidationError`; false where pydantic was never imported."""
    validation_error = loaded("pydantic_core", "ValidationError")
    return validation_error is not None and isinstance(error, validation_error)


def details_of(error: Any, where: str) -> list[dict[str, Any]]:
    """What is wrong, by place: ``{"type", "loc": [where, field, ...], "msg"}``. *error* is a `ValidationError`."""
    count = error.error_count()
    if count > COUNTED:
        return [{"type": "too_many_errors", "loc": [where], "msg": f"There are {count} errors."}]
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        {
            "type": one["type"],
            "loc": [where, *(part[:_MOST_NAME] if isinstance(part, str) else part for part in one["loc"])],
            "msg": one["msg"][:_MOST_TEXT],
        }
        for one in found[:MOST_ERRORS]
    ]
    if count > MOST_ERRORS:
        told.append({"type": "too_many_errors", "loc": [where], "msg": f"There are {count - MOST_ERRORS} more errors."})
    return told
