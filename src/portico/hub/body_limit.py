"""How long a request's body may be, and the 413 for one that is longer (RFC 9110 §15.5.14).

`most_of` is asked when a stream is opened, `check_length` holds a body to what its head says, and `HTTPForward.upload`
counts what comes. A 413 may also come from the app itself, which passes as it is; from `portico.hub.models` for a body
in which no model is found (`held_bodies`) or which is too long when it is decompressed (`encoded_body`); and from
`portico.relay.edge.asgi_http` for a form of the relay's own pages.
"""

from __future__ import annotations

from portico.hub.answers import Answer
from portico.hub.conditions import Conditions
from portico.hub.request import VisitorRequest


def most_of(configured: int | None, conditions: Conditions | None) -> int | None:
    """Bytes that a request's body may have: the smaller of the server's limit and the service's; None for no limit."""
    if conditions is None or conditions.max_body is None:
        return configured
    return conditions.max_body if configured is None else min(configured, conditions.max_body)


def check_length(request: VisitorRequest, most: int) -> None:
    """Raises an `Answer` (413) for a body that says to have more than *most* bytes."""
    for name, value in request.headers:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise too_large(most)


def too_large(most: int) -> Answer:
    """The answer to a body of more than *most* bytes."""
    return Answer(413, "too_large", f"A request's body may have at most {most:,} bytes here.")
