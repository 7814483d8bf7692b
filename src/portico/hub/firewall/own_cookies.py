"""The hub's own cookies: their names, and how they are set and read. None of them ever reaches an app."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portico.types import Headers

KEY_COOKIE = "portico_key"
PASS_COOKIE = "portico_pass"
"""Of a browser that gave a service's password."""
CONFIRMED_COOKIE = "portico_confirmed"
"""Of a browser whose user was told that a stranger made the app."""
VISITOR_COOKIE = "portico_visitor"
"""Of a browser that signed in to a relay, on a service's host."""
STATE_COOKIE = "portico_state"
"""Of a browser that is about to."""


_MOST = 8
"""Cookies of one name that are read, each of which has a signature to be checked: a path has as many above it."""


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
    # a visitor may have asked for a path that would end the attribute, and begin another (RFC 6265 §4.1.1)
    path = _NOT_IN_A_PATH.sub(lambda match: f"%{ord(match.group()):02X}", root_path)
    cookie = (
        f"{own_cookie(name, root_path, scheme)}={value}; Path={path}/; Max-Age={seconds}; "
        f"HttpOnly; SameSite=Lax{secure}"
    )
    return b"set-cookie", cookie.encode("latin-1")


_NOT_IN_A_PATH = re.compile(r"[^!-:<-~]")


def own_cookies(headers: Headers, name: str, root_path: str, scheme: str) -> Iterator[bytes]:
    """Values that a request has of the hub's cookie *name*, up to `_MOST`: a path above may have set one too."""
    wanted = own_cookie(name, root_path, scheme).encode()
    left = _MOST
    for field, value in headers:
        if field == b"cookie" and wanted in value:
            for part in value.split(b";"):
                cookie, _, held = part.strip().partition(b"=")
                if cookie == wanted:
                    yield held
                    left -= 1
                    if not left:
                        return
