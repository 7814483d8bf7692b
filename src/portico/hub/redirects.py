"""Where the hub sends a browser: to a path on the host that it asked, never to another.

A browser reads an address by the URL standard (WHATWG), which is more lenient than RFC 3986: ``//host``, ``/\\host``
and ``/<tab>/host`` all name a host. So an address that a visitor had a part in goes out by `here`, and one that a
visitor names (``next=``) is asked after by `is_below`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_ODD = re.compile(rb"[^!-\[\]-~]")
"""What is not visible ASCII, and the backslash: browsers drop tabs and line breaks, and read a backslash as a slash."""
_PLAIN = re.compile(r"[!-\[\]-~]+")
_MOST = 8000
"""Characters of an address that somebody is sent back to: as many as servers take in a request's first line."""


def here(path: bytes) -> bytes:
    """*path*, with a query or without, as an address that leads to it on the host that was asked."""
    path = _ODD.sub(lambda match: b"%%%02X" % match.group()[0], path)
    if path.startswith(b"//"):
        return b"/." + path  # the same path: what begins with two slashes would name a host (URL standard §4.4)
    return path if path.startswith(b"/") else b"/" + path


def is_below(target: str, root: str) -> bool:
    """Whether *target*, a path with or without a query, is that of a page below *root*, whoever reads it.

    *root* is a path with a slash at its end.
    """
    if len(target) > _MOST or not target.startswith(root) or not _PLAIN.fullmatch(target):
        return False
    below = re.split(r"[?#]", target[len(root) :], maxsplit=1)[0]
    segments = below.split("/")
    if not segments[0] and len(segments) > 1:  # two slashes; below the root of a host they would name another
        return False
    return not any(unquote(segment) in (".", "..") for segment in segments)
