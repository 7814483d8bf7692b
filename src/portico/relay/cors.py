"""CORS for what asks for a token in a header: any page may call it, as none of them holds one by itself.

Credentials are never allowed: no cookie opens these routes.
"""

from __future__ import annotations

from portico.types import ASGIApp, Message, Receive, Scope, Send

_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"retry-after, www-authenticate"),
]
_PREFLIGHT = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
    (b"vary", b"access-control-request-headers"),
]


async def for_every_origin(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Fetch §3.2: any page may call what asks for a token in a header, as none of them holds one by itself."""
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
        await send({"type": "http.response.body", "body": b""})
        return

    async def send_for_all(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_CORS]
        await send(message)

    await app(scope, receive, send_for_all)
