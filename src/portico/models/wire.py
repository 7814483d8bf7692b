"""What all endpoints have in common on the wire: the error object, answers that are errors, and the end of a stream.

Here: the OpenAI API's own forms. Source: OpenAI API reference, "Error codes", "Streaming".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from portico.calls.exchange import Exchange
from portico.errors import APIError, PorticoError, UnusableRequest
from portico.types import Headers

DONE = b"data: [DONE]\n\n"
"""The last event of a stream."""


def error_object(error: PorticoError) -> dict[str, Any]:
    """The API's ``error`` object."""
    if isinstance(error, APIError):
        return {"message": str(error), "type": error.type, "param": error.param, "code": error.code}
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    if isinstance(error, UnusableRequest):
        return {"message": str(error), "type": kind, "param": error.field, "code": error.code}
    return {"message": str(error), "type": kind, "param": None, "code": None}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer that is an error."""

    status: int
    body: dict[str, Any]
    headers: Headers = field(default_factory=list)


def told(error: PorticoError) -> ErrorAnswer:
    """An error as the API answers with it.

    A failure that trying again will not mend says so, in the header that OpenAI's SDKs obey: they would run the model
    three times otherwise.
    """
    headers: Headers = []
    retry_after = error.retry_after if isinstance(error, APIError) else None
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(0, math.ceil(retry_after))))
    elif error.status >= 500:
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, UnusableRequest):
        headers += error.headers
    return ErrorAnswer(error.status, {"error": error_object(error)}, headers)


async def answer_error(exchange: Exchange, answer: ErrorAnswer, headers: Headers | None = None) -> None:
    """Answer with an error; *headers* go out with its own."""
    extra = [*(headers or []), *answer.headers]
    if answer.status in (204, 205, 304):  # these have no body (RFC 9110 §6.4.1)
        await exchange.head(answer.status, extra)
        await exchange.end()
    else:
        await exchange.json(answer.body, answer.status, extra)
