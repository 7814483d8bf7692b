"""Of a request under the base URL of all models: whether it shows a key, and its new Content-Length."""

from __future__ import annotations

from portico.hub.request import VisitorRequest
from portico.types import Headers


def shows_a_key(request: VisitorRequest) -> bool:
    """Whether a request comes with a key, as SDKs send it."""
    return any(
        name == b"authorization" and value[:7].lower() == b"bearer " and value[7:].strip()
        for name, value in request.headers
    )


def lengthened(headers: Headers, difference: int) -> Headers:
    """*headers* with a Content-Length that is true again after the model's name was changed."""
    if not difference:
        return headers
    return [
        (name, str(int(value) + difference).encode())
        if name == b"content-length" and value.isdigit()
        else (name, value)
        for name, value in headers
    ]
