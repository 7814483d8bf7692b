"""Two values that both edges need: the Date of an answer, and the ``server`` of an ASGI scope."""

from __future__ import annotations

import re
import time
from email.utils import formatdate

from portico.bounded import BoundedCache

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
