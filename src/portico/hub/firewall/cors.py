"""What the hub says to other origins of services that name them (CORS, the Fetch standard). Never with credentials.

Here are the fields. Whether a request is a preflight, and is answered, is decided in `portico.hub.gateway`.
"""

from __future__ import annotations

from portico.types import Headers


def preflight_headers(request: dict[bytes, bytes], origin: bytes) -> Headers:
    """The answer to a CORS preflight (Fetch standard): what was asked for is allowed, without cookies."""
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        (b"access-control-max-age", b"600"),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
        (b"content-length", b"0"),
    ]
    wanted = request.get(b"access-control-request-headers")
    if wanted:
        headers.append((b"access-control-allow-headers", wanted))
    if b"access-control-request-private-network" in request:
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers


def cors_headers(origin: bytes) -> Headers:
    """What the hub adds to an answer for an allowed *origin*."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
    ]
