"""The header firewall, both ways. Pure functions over lists of (lower-case name, value) bytes.

Towards the app: nothing that is the hub's (credentials, its cookies), nothing that is this hop's (RFC 9110 §7.6.1),
and no forwarding headers but the hub's own. Towards the visitor: no cookie that reaches beyond the app, none of the
headers by which an app would speak for the whole origin, or give orders to a proxy in front. Neither side is believed:
names and values are read as the most lenient reader behind would read them (`field_names`, `spellings`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from portico.bounded import BoundedCache
from portico.hub.firewall.cors import cors_headers, preflight_headers
from portico.hub.firewall.field_names import (
    HOP_BY_HOP,
    NOT_FROM_APPS,
    NOT_FROM_VISITORS,
    PREFIXES_NOT_FROM_APPS,
    PREFIXES_NOT_FROM_VISITORS,
    SUFFIX_NOT_FROM_APPS,
)
from portico.hub.firewall.own_cookies import (
    CONFIRMED_COOKIE,
    KEY_COOKIE,
    PASS_COOKIE,
    STATE_COOKIE,
    VISITOR_COOKIE,
    is_own_cookie,
    own_cookie,
    own_cookies,
    set_own_cookie,
)
from portico.hub.firewall.queries import arguments, clean_query, clean_referer, has_argument, is_xsrf
from portico.hub.firewall.spellings import MARKED, Secrets, secrets_of
from portico.types import Headers

__all__ = [  # of this module, and what belongs to it and stands in modules of its own
    "BODILESS",
    "CONFIRMED_COOKIE",
    "HOP_BY_HOP",
    "KEY_ARGUMENT",
    "KEY_COOKIE",
    "PASS_COOKIE",
    "STATE_COOKIE",
    "VISITOR_COOKIE",
    "arguments",
    "clean_cookies",
    "clean_query",
    "clean_referer",
    "confine_cookie",
    "cors_headers",
    "has_argument",
    "holds_key",
    "is_own_cookie",
    "is_xsrf",
    "own_cookie",
    "own_cookies",
    "preflight_headers",
    "request_headers",
    "response_headers",
    "set_own_cookie",
]

BODILESS = frozenset({204, 304})
"""Statuses whose responses have no body (RFC 9110 §15.3.5, §15.4.5)."""

KEY_ARGUMENT = b"portico_key"

# What becomes of a header field.
(
    _PASS,
    _DROP,
    _AUTHORIZATION,
    _COOKIE,
    _REFERER,
    _CONNECTION,
    _LENGTH,
    _CORS,
    _XSRF,
    _BUFFERING,
    _CHALLENGE,
) = range(11)

_MOST_RULES = 1000
"""How many names are remembered: the other ends choose them."""
_LONGEST_NAME = 100
"""Bytes of a name that is remembered: no usual one has more."""

_REQUEST_RULES: BoundedCache[bytes, int] = BoundedCache(
    _MOST_RULES,
    longest=_LONGEST_NAME,
    always=dict.fromkeys(NOT_FROM_VISITORS, _DROP)
    | {
        b"authorization": _AUTHORIZATION,
        b"cookie": _COOKIE,
        b"referer": _REFERER,
        b"connection": _CONNECTION,
        b"x-csrftoken": _XSRF,
        b"x-csrf-token": _XSRF,
        b"x-xsrf-token": _XSRF,
    },
)
_RESPONSE_RULES: BoundedCache[bytes, int] = BoundedCache(
    _MOST_RULES,
    longest=_LONGEST_NAME,
    always=dict.fromkeys(NOT_FROM_APPS, _DROP)
    | {
        b"connection": _CONNECTION,
        b"set-cookie": _COOKIE,
        b"content-length": _LENGTH,
        b"x-accel-buffering": _BUFFERING,
        b"www-authenticate": _CHALLENGE,
    },
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110 §5.6.2, in lower case
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # control characters, but for the tab (RFC 9110 §5.5)
_MOST_DIGITS = 18  # of a Content-Length: what fits 63 bits; a reader that wraps around would see another length


def _request_rule(name: bytes) -> int:
    # An underscore is a hyphen to CGI and WSGI, so `x_forwarded_for` would pass for the hub's own.
    read_as = name.replace(b"_", b"-")
    rule = _REQUEST_RULES.get(read_as, _PASS)
    if (read_as != name and rule != _PASS) or read_as.startswith(PREFIXES_NOT_FROM_VISITORS):
        rule = _DROP
    return _REQUEST_RULES.keep(name, rule, len(name))


def _response_rule(name: bytes) -> int:
    if not _TOKEN.fullmatch(name):
        return _DROP
    read_as = name.replace(b"_", b"-")
    rule = _CORS if name.startswith(b"access-control-") else _PASS
    known = _RESPONSE_RULES.get(read_as, _PASS)
    if (
        known == _DROP
        or (read_as != name and known != _PASS)
        or read_as.startswith(PREFIXES_NOT_FROM_APPS)
        or read_as.endswith(SUFFIX_NOT_FROM_APPS)
    ):
        rule = _DROP
    return _RESPONSE_RULES.keep(name, rule, len(name))


def request_headers(
    headers: Headers,
    *,
    drop_authorization: bool,
    is_hub_cookie: Callable[[str], bool],
    drop_arguments: Callable[[bytes, bytes], bool],
    forwarded: Headers,
    secrets: Secrets = MARKED,
    found: list[bytes] | None = None,
) -> Headers:
    """What of a visitor's *headers* an app may see, and the hub's own *forwarded* after it.

    *drop_arguments* says of a query argument (name, value) whether it is the hub's; it cleans the Referer too. None of
    *secrets* passes in any field, whatever its name and however it is written; and so for what the hub's cookies hold,
    which is put into *found*.
    """
    named: set[bytes] = set()
    passed: Headers = []
    found = [] if found is None else found
    basic = False
    rules = _REQUEST_RULES
    for pair in headers:
        name, value = pair
        rule = rules.get(name)
        if rule is None:
            rule = _request_rule(name)
        if rule == _PASS:
            passed.append(pair)
        elif rule == _CONNECTION:
            named |= _connection_names(value)
        elif rule == _AUTHORIZATION:
            if not drop_authorization:
                basic = basic or value[:6].lower().startswith(b"basic")  # which alone is decoded
                passed.append(pair)
        elif rule == _COOKIE:
            kept = clean_cookies(value, is_hub_cookie, None, found)
            if kept:
                passed.append((name, kept))
        elif rule == _REFERER:
            cleaned = clean_referer(value, drop_arguments, secrets)
            if cleaned:
                passed.append((name, cleaned))
        elif rule == _XSRF and not is_xsrf(value):
            passed.append(pair)
    if named:
        passed = [pair for pair in passed if pair[0] not in named]
    # one look at all that passes, as hardly a request holds anything
    if basic or secrets.among(passed):
        passed = _without(passed, secrets)
    if found:
        held = secrets_of(*found)
        if basic or held.among(passed):
            passed = _without(passed, held)
    passed += forwarded
    return passed


def _without(headers: Headers, secrets: Secrets) -> Headers:
    """*headers* without what holds one of *secrets*: a field, a cookie, a subprotocol."""
    kept: Headers = []
    for name, value in headers:
        if name == b"cookie":
            value = clean_cookies(value, _nobodys, secrets)
            if value:
                kept.append((name, value))
        elif name == b"sec-websocket-protocol" and secrets.within(value):
            value = b",".join(part for part in value.split(b",") if not secrets.within(part))
            if value:
                kept.append((name, value))
        elif not (secrets.within_credentials(value) if name == b"authorization" else secrets.within(value)):
            kept.append((name, value))
    return kept


def _nobodys(name: str) -> bool:
    return False


def holds_key(value: bytes) -> bool:
    """Whether a key or token of the hub is in *value*, in any spelling."""
    return MARKED.within(value)


_NO_NAMES: frozenset[bytes] = frozenset()
_USUAL_CONNECTION = frozenset({b"close", b"keep-alive", b"Keep-Alive", b"Upgrade", b"upgrade"})


def _connection_names(value: bytes) -> frozenset[bytes]:
    """The fields that a Connection header names as this hop's (RFC 9110 §7.6.1)."""
    if value in _USUAL_CONNECTION:
        return _NO_NAMES
    return frozenset(token.strip().lower() for token in value.split(b",")) - {b"close", b"keep-alive", b"upgrade"}


_WORTH_FINDING = 16
"""Bytes of a cookie's value that is looked for elsewhere. What the hubs set is longer, and hard to guess."""

_MOST_FOUND = 16
"""Such values of one request. A browser holds a login and a proof for each server of its host; a request with thousands
would make each look at its headers thousands."""


def clean_cookies(
    value: bytes,
    is_hub_cookie: Callable[[str], bool],
    secrets: Secrets | None = MARKED,
    found: list[bytes] | None = None,
) -> bytes:
    """A Cookie header without the hub's cookies; b"" if none is left (RFC 6265 §5.4).

    None of *secrets* passes; None: none is in it. The values of the hub's cookies are put into *found*.
    """
    parts = value.split(b";")
    kept: list[bytes] = []
    for part in parts:
        if is_hub_cookie(_cookie_name(part)):
            if found is not None:
                held = part.partition(b"=")[2].strip(b' \t"')
                if len(held) >= _WORTH_FINDING and len(found) < _MOST_FOUND:
                    found.append(held)
        elif secrets is None or not secrets.within(part):
            kept.append(part)
    if len(kept) == len(parts):
        return value
    return b";".join(kept).strip()


def _cookie_name(cookie: bytes) -> str:
    """The name, as a server written in Python reads it: what ``str.strip`` takes for space is no part of it."""
    return cookie.partition(b"=")[0].decode("latin-1").strip()


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
        elif rule == _BUFFERING:
            if value.strip().lower() == b"no":  # events must not be held back; more an app may not tell a proxy
                passed.append(pair)
        elif rule == _CHALLENGE and not _FOR_THE_HOST.search(value):
            passed.append(pair)
    if named:
        passed = [pair for pair in passed if pair[0] not in named]
    return passed


_FOR_THE_HOST = re.compile(rb"(?:^|,)\s*(?:negotiate|nego2|ntlm|kerberos)\b", re.IGNORECASE)
"""Challenges (RFC 4559) that a browser answers by itself, as the user of its machine, to the host and not to an app."""


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
