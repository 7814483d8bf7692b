"""What all endpoints have in common on the wire: the error object, answers that are errors, and the end of a stream.

Here: the OpenAI API's own forms. Source: OpenAI API reference, "Error codes", "Streaming".
"""

from __future__ import annotations

import math
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


async def answer_error(exchange: Exchange, error: PorticoError, headers: Headers | None = None) -> None:
    """Answer with an error object; *headers* go out with it.

    A failure that trying again will not mend says so, in the header that OpenAI's SDKs obey: they would run the model
    three times otherwise.
    """
    extra = list(headers or [])
    retry_after = error.retry_after if isinstance(error, APIError) else None
    if retry_after is not None:
        extra.append((b"retry-after", b"%d" % max(0, math.ceil(retry_after))))
    elif error.status >= 500:
        extra.append((b"x-should-retry", b"false"))
    if isinstance(error, UnusableRequest):
        extra += error.headers
    await exchange.json({"error": error_object(error)}, error.status, extra)
