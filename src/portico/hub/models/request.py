"""What of a request under the base URL of all models is looked at, and what is changed, besides its model."""

from __future__ import annotations

from portico.hub.gateway import VisitorRequest


def shows_a_key(request: VisitorRequest) -> bool:
    """Whether a request comes with a key, as SDKs send it."""
    return any(
        name == b"authorization" and value[:7].lower() == b"bearer " and value[7:].strip()
        for name, value in request.headers
    )


def lengthen(request: VisitorRequest, difference: int) -> None:
    """Make Content-Length true again after the model's name was changed."""
    if difference:
        request.headers = [
            (name, str(int(value) + difference).encode())
            if name == b"content-length" and value.isdigit()
            else (name, value)
            for name, value in request.headers
        ]
