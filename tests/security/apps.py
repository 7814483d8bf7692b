"""Apps that a kernel serves for these tests."""

from __future__ import annotations

from typing import Any

from tests.in_process import echo

SPEAKS_FOR_THE_ORIGIN = [
    (b"set-cookie", b"_xsrf=planted; Path=/"),
    (b"set-cookie", b"=_xsrf=planted; Path=/"),
    (b"set-cookie", b"username-127-0-0-1-8888=planted"),
    (b"set-cookie", b"portico_key=planted"),
    (b"set-cookie", b"mine=1; Path=/; Domain=127.0.0.1; HttpOnly"),
    (b"set-cookie", b"deep=1; Path=/portico/apps/hostile/deep"),
    (b"service-worker-allowed", b"/"),
    (b"clear-site-data", b'"*"'),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"X-Accel-Redirect", b"/internal/secret"),
    (b"x-accel-limit-rate", b"1"),
    (b"X-Sendfile", b"/etc/passwd"),
    (b"x-lighttpd-send-file", b"/etc/passwd"),
    (b"x-reproxy-url", b"http://127.0.0.1/"),
    (b"surrogate-control", b"max-age=31536000"),
    (b"alt-svc", b'h3="evil.example:443"'),
    (b"nel", b"{}"),
    (b"proxy-authenticate", b"Basic"),
    (b"www-authenticate", b"Negotiate"),
    (b"status", b"418"),
    (b"x-of-the-app", b"passes"),
]


DROPPED = sorted({name.decode().lower() for name, _ in SPEAKS_FOR_THE_ORIGIN} - {"set-cookie", "x-of-the-app"})


async def hostile(scope: Any, receive: Any, send: Any) -> None:
    """Answers with headers that would speak for the whole origin."""
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
    elif scope["type"] == "websocket" and scope["path"].endswith("/denied"):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403, "headers": SPEAKS_FOR_THE_ORIGIN})
        await send({"type": "websocket.http.response.body", "body": b""})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": SPEAKS_FOR_THE_ORIGIN})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        await send({"type": "http.response.start", "status": 200, "headers": SPEAKS_FOR_THE_ORIGIN})
        await send({"type": "http.response.body", "body": b""})


async def whole_host(scope: Any, receive: Any, send: Any) -> None:
    """Sets cookies that a browser keeps to the host (RFC 6265bis §4.1.3.2), of its own and of the relay's."""
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
        return
    names = (b"mine", b"portico_visitor", b"portico_session", b"Portico_Pass")
    headers = [(b"set-cookie", b"__Host-" + name + b"=1; Path=/; Secure") for name in names]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def counting(scope: Any, receive: Any, send: Any) -> None:
    """Counts its calls; says the count on ``/count``."""
    global calls
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
        return
    if not scope["path"].endswith("/count"):
        calls += 1
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(calls).encode()})


calls = 0


runs = 0


def secret() -> int:
    """A secret function, which counts how often it was called, this time among them. A GET calls it, too."""
    global runs
    runs += 1
    return runs


FUNCTION_ROUTES = [
    *("", "run", "run?x=1", "secret/run", "docs", "openapi.json", "static/page.js", "static/docs/start.js", "mcp"),
    *("redoc", "v1", "none/run"),
]
"""Below the URL of a service that is made of functions."""

CALL = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "secret-function__secret"}}'
"""At the URL of all tools."""
