"""The header firewall, both ways. Pure functions over lists of (lower-case name, value) bytes.

Towards the app: nothing that is the hub's (credentials, its cookies), nothing that is this hop's (RFC 9110 §7.6.1),
and no forwarding headers but the hub's own. Towards the visitor: no cookie that reaches beyond the app, none of the
few headers by which an app would speak for the whole origin. Neither side is believed: names and values are read as
the most lenient reader behind would read them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from portico.hub.keys import MARK
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

# From an app: this hop's, and what would speak for every page of the origin or of its host.
_NOT_FROM_APPS = HOP_BY_HOP | {
    b"alt-svc",
    b"clear-site-data",
    b"nel",
    b"report-to",
    b"service-worker-allowed",
    b"set-login",
    b"strict-transport-security",
    # what tells a web server in front to answer with something else of its own (nginx; Apache, lighttpd)
    b"x-accel-redirect",
    b"x-lighttpd-send-file",
    b"x-sendfile",
}

BODILESS = frozenset({204, 304})
"""Statuses whose responses have no body (RFC 9110 §15.3.5, §15.4.5)."""

KEY_COOKIE = "portico_key"
KEY_ARGUMENT = b"portico_key"
PASS_COOKIE = "portico_pass"
"""Of a browser that gave a service's password."""
CONFIRMED_COOKIE = "portico_confirmed"
"""Of a browser whose user was told that a stranger made the app."""
VISITOR_COOKIE = "portico_visitor"
"""Of a browser that signed in to a relay, on a service's host."""
STATE_COOKIE = "portico_state"
"""Of a browser that is about to."""


def is_own_cookie(name: str) -> bool:
    """Whether a hub takes a cookie of this name for its own, whatever server it stands in."""
    return name.lower().removeprefix("__host-").removeprefix("__secure-").startswith("portico_")


def own_cookie(name: str, root_path: str, scheme: str) -> str:
    """The hub's cookie *name* as it is called for the service under *root_path*.

    On a host of its own, over https, with ``__Host-``: no neighbour's page can set that one (RFC 6265bis §4.1.3.2).
    """
    return f"__Host-{name}" if not root_path and scheme == "https" else name


def set_own_cookie(name: str, value: str, root_path: str, scheme: str, seconds: int) -> tuple[bytes, bytes]:
    """A Set-Cookie header with the hub's cookie *name* for the service under *root_path*."""
    secure = "; Secure" if scheme == "https" else ""
    cookie = (
        f"{own_cookie(name, root_path, scheme)}={value}; Path={root_path}/; Max-Age={seconds}; "
        f"HttpOnly; SameSite=Lax{secure}"
    )
    return b"set-cookie", cookie.encode("latin-1")


def own_cookies(headers: Headers, name: str, root_path: str, scheme: str) -> Iterator[bytes]:
    """Every value that a request has of the hub's cookie *name*: a path above may have set one too."""
    wanted = own_cookie(name, root_path, scheme).encode()
    for field, value in headers:
        if field == b"cookie" and wanted in value:
            for part in value.split(b";"):
                cookie, _, held = part.strip().partition(b"=")
                if cookie == wanted:
                    yield held


# What becomes of a header field.
_PASS, _DROP, _AUTHORIZATION, _COOKIE, _REFERER, _CONNECTION, _PROTOCOLS, _LENGTH, _CORS = range(9)

_REQUEST_RULES = dict.fromkeys(HOP_BY_HOP | {b"forwarded", b"x-real-ip", b"x-xsrftoken"}, _DROP) | {
    b"authorization": _AUTHORIZATION,
    b"cookie": _COOKIE,
    b"referer": _REFERER,
    b"connection": _CONNECTION,
    b"sec-websocket-protocol": _PROTOCOLS,
}
_RESPONSE_RULES = dict.fromkeys(_NOT_FROM_APPS, _DROP) | {
    b"connection": _CONNECTION,
    b"set-cookie": _COOKIE,
    b"content-length": _LENGTH,
}
_MOST_RULES = 1000
"""How many names are remembered: the other ends choose them."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110 §5.6.2, in lower case
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # control characters, but for the tab (RFC 9110 §5.5)
_MOST_DIGITS = 18  # of a Content-Length: what fits 63 bits; a reader that wraps around would see another length


def _request_rule(name: bytes) -> int:
    # An underscore is a hyphen to CGI and WSGI, so `x_forwarded_for` would pass for the hub's own.
    read_as = name.replace(b"_", b"-")
    rule = _REQUEST_RULES.get(read_as, _PASS)
    if read_as != name and rule != _PASS:
        rule = _DROP
    if read_as.startswith(b"x-forwarded-"):
        rule = _DROP
    if len(_REQUEST_RULES) < _MOST_RULES:
        _REQUEST_RULES[name] = rule
    return rule


def _response_rule(name: bytes) -> int:
    if not _TOKEN.fullmatch(name):
        return _DROP
    rule = _CORS if name.startswith(b"access-control-") else _PASS
    if len(_RESPONSE_RULES) < _MOST_RULES:
        _RESPONSE_RULES[name] = rule
    return rule


def request_headers(
    headers: Headers,
    *,
    drop_authorization: bool,
    is_hub_cookie: Callable[[str], bool],
    drop_arguments: Callable[[bytes, bytes], bool],
    forwarded: Headers,
) -> Headers:
    """What of a visitor's *headers* an app may see, and the hub's own *forwarded* after it.

    *drop_arguments* says of a query argument (name, value) whether it is the hub's; it cleans the Referer too. A key
    or token of the hub passes in no field, whatever its name.
    """
    named: set[bytes] = set()
    passed: Headers = []
    rules = _REQUEST_RULES
    for pair in headers:
        name, value = pair
        rule = rules.get(name)
        if rule is None:
            rule = _request_rule(name)
        if rule == _PASS:
            if MARK not in value:
                passed.append(pair)
        elif rule == _CONNECTION:
            named |= _connection_names(value)
        elif rule == _AUTHORIZATION:
            if not drop_authorization and MARK not in value:
                passed.append(pair)
        elif rule == _COOKIE:
            kept = clean_cookies(value, is_hub_cookie)
            if kept:
                passed.append((name, kept))
        elif rule == _REFERER:
            cleaned = clean_referer(value, drop_arguments)
            if not holds_key(cleaned):
                passed.append((name, cleaned))
        elif rule == _PROTOCOLS:
            offered = value if MARK not in value else b",".join(p for p in value.split(b",") if MARK not in p)
            if offered:
                passed.append((name, offered))
    if named:
        passed = [pair for pair in passed if pair[0] not in named]
    passed += forwarded
    return passed


def holds_key(value: bytes) -> bool:
    """Whether a key or token of the hub is in *value*, plain or percent-encoded."""
    return MARK in value or (b"%" in value and MARK in unquote_to_bytes(value))


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
    kept = [part for part in parts if not is_hub_cookie(_cookie_name(part)) and not holds_key(part)]
    if len(kept) == len(parts):
        return value
    return b";".join(kept).strip()


def _cookie_name(cookie: bytes) -> str:
    """The name, as a server written in Python reads it: what ``str.strip`` takes for space is no part of it."""
    return cookie.partition(b"=")[0].decode("latin-1").strip()


def arguments(query: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Each argument of a query: as it stands, and its name and value decoded."""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        yield part, _decoded(name), _decoded(value)


def _decoded(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text


def has_argument(query: bytes, name: bytes) -> bool:
    """Whether *query* has an argument of that name, however it is written."""
    return (name in query or b"%" in query) and any(name == found.strip() for _, found, _ in arguments(query))


_HUBS_OWN = re.compile(rb"token|portico_key|_xsrf|%|" + re.escape(MARK))


def clean_query(query: bytes, drop: Callable[[bytes, bytes], bool]) -> bytes:
    """A query without the arguments that *drop* names (of name and value, decoded) and without keys of the hub.

    Untouched, byte for byte, if there is none.
    """
    if not query or not _HUBS_OWN.search(query):
        return query
    found = list(arguments(query))
    kept = [part for part, name, value in found if not drop(name, value) and MARK not in value and MARK not in name]
    return query if len(kept) == len(found) else b"&".join(kept)


def clean_referer(value: bytes, drop: Callable[[bytes, bytes], bool]) -> bytes:
    """A Referer without the hub's arguments. Any ``token`` goes: the page before may have been one of the hub's."""
    base, mark, query = value.partition(b"?")
    if not mark:
        return value
    cleaned = clean_query(query, lambda name, given: name.strip() == b"token" or drop(name, given))
    return base + mark + cleaned if cleaned else base


def response_headers(
    headers: Headers, *, root_path: str, is_hub_cookie: Callable[[str], bool], own_cors: bool
) -> Headers:
    """What of an app's *headers* a visitor may see. With *own_cors* the hub speaks for Access-Control-* itself.

    A provider need not keep to lower case, nor to what HTTP allows: a field that is none is dropped, and so is a
    second Content-Length, or one that is no number or too great a one, which would let two readers disagree on where
    the body ends.
    """
    passed: Headers = []
    named: set[bytes] = set()
    has_length = False
    rules = _RESPONSE_RULES
    for pair in headers:
        name, value = pair
        rule = rules.get(name)
        if rule is None:
            name = name.lower()
            pair = name, value
            rule = rules.get(name)
            if rule is None:
                rule = _response_rule(name)
        if _FORBIDDEN.search(value):
            continue
        if rule == _PASS:
            passed.append(pair)
        elif rule == _LENGTH:
            if not has_length and value.isdigit() and len(value) <= _MOST_DIGITS:
                has_length = True
                passed.append(pair)
        elif rule == _COOKIE:
            cookie = confine_cookie(value, root_path, is_hub_cookie)
            if cookie is not None:
                passed.append((name, cookie))
        elif rule == _CORS:
            if not own_cors:
                passed.append(pair)
        elif rule == _CONNECTION:
            named |= _connection_names(value)
    if named:
        passed = [pair for pair in passed if pair[0] not in named]
    return passed


_ATTRIBUTE = re.compile(rb"\s*([^=;]*)(?:=([^;]*))?")


def confine_cookie(value: bytes, root_path: str, is_hub_cookie: Callable[[str], bool]) -> bytes | None:
    """A Set-Cookie header kept to the app's path, without Domain; None if it names a cookie of the hub.

    ``__Host-`` cookies must have the path ``/`` (RFC 6265bis §4.1.3.2) and cannot be kept to a path: they are dropped,
    but where the app has a host of its own. So are cookies without a name: a browser sends ``=_xsrf=1`` back as
    ``_xsrf=1``.
    """
    cookie, *attributes = value.split(b";")
    name = _cookie_name(cookie)
    if not name or b"=" not in cookie or is_hub_cookie(name) or (root_path and name.lower().startswith("__host-")):
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
