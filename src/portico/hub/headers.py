"""The header firewall, both ways. Pure functions over lists of (lower-case name, value) bytes.

Towards the app: nothing that is the hub's (credentials, its cookies), nothing that is this hop's (RFC 9110 §7.6.1),
and no forwarding headers but the hub's own. Towards the visitor: no cookie that reaches beyond the app, none of the
few headers by which an app would speak for the whole origin.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from portico.types import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# From a visitor: this hop's, what only the hub may say, and the hub's own protection against forged requests.
_NOT_FROM_VISITORS = HOP_BY_HOP | {
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
    b"x-forwarded-server",
    b"x-forwarded-ssl",
    b"x-forwarded-scheme",
    b"x-real-ip",
    b"x-xsrftoken",
}

# From an app: this hop's, and what would speak for every page of the origin.
_NOT_FROM_APPS = HOP_BY_HOP | {b"clear-site-data", b"service-worker-allowed"}

KEY_COOKIE = "portico_key"
KEY_ARGUMENT = b"portico_key"


# What becomes of a visitor's header field: dropped, or looked at more closely. Any other passes.
_DROP, _AUTHORIZATION, _COOKIE, _REFERER, _CONNECTION = range(5)
_REQUEST_RULES = dict.fromkeys(_NOT_FROM_VISITORS, _DROP) | {
    b"authorization": _AUTHORIZATION,
    b"cookie": _COOKIE,
    b"referer": _REFERER,
    b"connection": _CONNECTION,
}


def request_headers(
    headers: Headers,
    *,
    drop_authorization: bool,
    is_hub_cookie: Callable[[str], bool],
    drop_arguments: Callable[[bytes, bytes], bool],
    forwarded: Headers,
) -> Headers:
    """What of a visitor's *headers* an app may see, and the hub's own *forwarded* after it.

    *drop_arguments* says of a query argument (name, value) whether it is the hub's; it cleans the Referer too.
    """
    named: set[bytes] = set()
    passed: Headers = []
    rules = _REQUEST_RULES
    for pair in headers:
        rule = rules.get(pair[0])
        if rule is None:
            passed.append(pair)
        elif rule == _CONNECTION:
            named |= _connection_names(pair[1])
        elif rule == _AUTHORIZATION:
            if not drop_authorization:
                passed.append(pair)
        elif rule == _COOKIE:
            kept = clean_cookies(pair[1], is_hub_cookie)
            if kept:
                passed.append((pair[0], kept))
        elif rule == _REFERER:
            passed.append((pair[0], clean_referer(pair[1], drop_arguments)))
    if named:
        passed = [pair for pair in passed if pair[0] not in named]
    passed += forwarded
    return passed


_NO_NAMES: frozenset[bytes] = frozenset()
_USUAL_CONNECTION = frozenset({b"close", b"keep-alive", b"Keep-Alive", b"Upgrade", b"upgrade"})


def _connection_names(value: bytes) -> frozenset[bytes]:
    """The fields that a Connection header names as this hop's (RFC 9110 §7.6.1)."""
    if value in _USUAL_CONNECTION:
        return _NO_NAMES
    return frozenset(token.strip().lower() for token in value.split(b",")) - {b"close", b"keep-alive", b"upgrade"}


def clean_cookies(value: bytes, is_hub_cookie: Callable[[str], bool]) -> bytes:
    """A Cookie header without the hub's cookies; b"" if none is left (RFC 6265 §5.4)."""
    parts = value.split(b";")
    kept = [part for part in parts if not is_hub_cookie(part.partition(b"=")[0].strip().decode("latin-1"))]
    if len(kept) == len(parts):
        return value
    return b";".join(kept).strip()


def clean_query(query: bytes, drop: Callable[[bytes, bytes], bool]) -> bytes:
    """A query without the arguments that *drop* names; untouched, byte for byte, if there is none."""
    if not query:
        return query
    parts = query.split(b"&")
    kept = []
    for part in parts:
        name, _, value = part.partition(b"=")
        if not drop(name, value):
            kept.append(part)
    return query if len(kept) == len(parts) else b"&".join(kept)


def clean_referer(value: bytes, drop: Callable[[bytes, bytes], bool]) -> bytes:
    """A Referer without the hub's arguments."""
    base, mark, query = value.partition(b"?")
    if not mark:
        return value
    cleaned = clean_query(query, drop)
    return base + mark + cleaned if cleaned else base


def response_headers(
    headers: Headers, *, root_path: str, is_hub_cookie: Callable[[str], bool], own_cors: bool
) -> Headers:
    """What of an app's *headers* a visitor may see. With *own_cors* the hub speaks for Access-Control-* itself."""
    passed: Headers = []
    named: set[bytes] = set()
    for pair in headers:
        name = pair[0]
        if name in _NOT_FROM_APPS:
            if name == b"connection":
                named |= _connection_names(pair[1])
            continue
        if name == b"set-cookie":
            cookie = confine_cookie(pair[1], root_path, is_hub_cookie)
            if cookie is None:
                continue
            pair = (name, cookie)
        elif own_cors and name.startswith(b"access-control-"):
            continue
        passed.append(pair)
    if named:
        passed = [pair for pair in passed if pair[0] not in named]
    return passed


_ATTRIBUTE = re.compile(rb"\s*([^=;]*)(?:=([^;]*))?")


def confine_cookie(value: bytes, root_path: str, is_hub_cookie: Callable[[str], bool]) -> bytes | None:
    """A Set-Cookie header kept to the app's path, without Domain; None if it names a cookie of the hub.

    ``__Host-`` cookies must have the path ``/`` (RFC 6265bis §4.1.3.2) and cannot be kept to a path: they are dropped.
    """
    cookie, *attributes = value.split(b";")
    name = cookie.partition(b"=")[0].strip().decode("latin-1")
    if is_hub_cookie(name) or name.lower().startswith("__host-"):
        return None
    root = root_path.encode("latin-1", "replace") or b"/"
    path = b""
    kept = [cookie.strip()]
    for attribute in attributes:
        match = _ATTRIBUTE.match(attribute)
        key = (match.group(1) if match else b"").strip().lower()
        if key == b"domain":
            continue
        if key == b"path":
            path = (match.group(2) or b"").strip() if match else b""
            continue
        kept.append(attribute.strip())
    inside = path == root or path.startswith(root.rstrip(b"/") + b"/")
    kept.append(b"Path=" + (path if inside and b".." not in path else root.rstrip(b"/") + b"/"))
    return b"; ".join(part for part in kept if part)


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
