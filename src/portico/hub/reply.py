"""What both edges say in the hub's own words: an `Answer`, as headers and body for one request."""

from __future__ import annotations

import re
import time
from email.utils import formatdate

from portico.bounded import BoundedCache
from portico.hub.access import opens_page
from portico.hub.answers import Answer
from portico.hub.firewall.headers import cors_headers
from portico.hub.gateway import VisitorRequest
from portico.types import Headers

_BODILESS = frozenset({204, 302, 303, 307, 308})


def reply(answer: Answer, request: VisitorRequest | None) -> tuple[Headers, bytes]:
    """Headers and body of *answer*: a page, JSON, or JSON in the OpenAI shape, whichever fits who asks."""
    if answer.status in _BODILESS:
        headers, body = [*answer.headers], b""
        if answer.status != 204:
            headers.append((b"cache-control", b"no-store"))
            headers.append((b"content-length", b"0"))
    else:
        html = request is not None and opens_page(request.headers)
        openai = request is not None and b"/v1/" in request.raw_path
        headers, body = answer.render(html=html, openai=openai)
    if request is not None and request.cors_origin:
        headers += cors_headers(request.cors_origin)
    return headers, body


_PORT = re.compile(r"[0-9]{1,5}")
_SERVERS: BoundedCache[tuple[str, str], tuple[str, int]] = BoundedCache()


def server_of(host: str, scheme: str) -> tuple[str, int] | None:
    """The ``server`` of an ASGI scope (host name and port), from the Host header."""
    known = _SERVERS.get((host, scheme))
    if known is None:
        name, _, port = host.rpartition(":")
        if not _PORT.fullmatch(port) or int(port) > 65535 or not name:
            name, port = host, "443" if scheme == "https" else "80"
        known = _SERVERS.keep((host, scheme), (name.strip("[]"), int(port)), 2 * len(host))
    return known if host else None


_date_cache = (0, b"")


def date() -> bytes:
    """The value of a Date header (RFC 9110 §6.6.1), made once a second."""
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True).encode())
    return _date_cache[1]
