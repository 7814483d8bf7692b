"""What a request's head may be made of: so much that no browser and no program misses anything, and that no head costs
the loop more than some milliseconds.

How long a head may be is the edge's to say (64 KiB). But 60 KiB of cookies, arguments or escapes, each of which has to
be looked at, cost many times what one long value does.
"""

from __future__ import annotations

import re

from portico.hub.answers import Answer
from portico.hub.firewall.spellings import MARKED
from portico.types import Headers

MOST_FIELDS = 256
"""Browsers send some twenty, with proxies in front some forty."""

MOST_COOKIES = 512
"""Browsers keep 180 at most for a site (RFC 6265bis §6.1 asks for 50)."""

MOST_ARGUMENTS = 1000
"""Of a query, its own or the Referer's, in which something has to be looked for."""

MOST_PERCENT_SIGNS = 4096
"""In all of it: a thousand letters of other scripts have three each."""

MOST_BACKSLASHES = 2048
"""In all of it. A quoted JSON of some kilobytes has hundreds."""

MOST_ITEMS = 256
"""Of a list that is taken apart: in Connection, Sec-WebSocket-Protocol."""

SMALL = 4096
"""Bytes of a head in which nothing is counted: whatever it is made of, it costs less than the limits let pass."""

_LOOKED_INTO = re.compile(rb"[%\\]|token|portico_key|_xsrf|2\||MnwxOjB8")
"""A query without these is passed on as it is (`portico.hub.firewall.queries`)."""

_BEGINS = re.compile(rb"[?#]")
"""A query, and the fragment of a Referer, which is read as one too."""

_LISTS = frozenset({b"connection", b"sec-websocket-protocol", b"transfer-encoding", b"upgrade"})


def check_head(target: bytes, headers: Headers) -> None:
    """Raises an `Answer` (431, RFC 6585 §5) for a head that is made to be dear. *target* is its path and query."""
    if len(headers) > MOST_FIELDS:
        raise too_many(f"{MOST_FIELDS} header fields")
    size = len(target)
    for _, value in headers:
        size += len(value)
    if size > SMALL:
        _check(target, headers)


def _check(target: bytes, headers: Headers) -> None:
    percent_signs, backslashes = target.count(b"%"), target.count(b"\\")
    cookies = items = 0
    _check_query(target)
    for name, value in headers:
        percent_signs += value.count(b"%")
        backslashes += value.count(b"\\")
        if name == b"cookie":
            cookies += 1 + value.count(b";")
        elif name == b"referer":
            _check_query(value)
        elif name in _LISTS:
            items += 1 + value.count(b",")
    if cookies > MOST_COOKIES:
        raise too_many(f"{MOST_COOKIES} cookies")
    if items > MOST_ITEMS:
        raise too_many(f"{MOST_ITEMS} items in Connection, Upgrade and Sec-WebSocket-Protocol")
    if percent_signs > MOST_PERCENT_SIGNS or backslashes > MOST_BACKSLASHES:
        raise too_many(f"{MOST_PERCENT_SIGNS} percent signs and {MOST_BACKSLASHES} backslashes; send texts in the body")


def _check_query(url: bytes) -> None:
    query = _BEGINS.split(url, 1)[-1]
    many = query.count(b"&") + query.count(b";") >= MOST_ARGUMENTS
    if many and (_LOOKED_INTO.search(query) or MARKED.within(query)):
        raise too_many(f"{MOST_ARGUMENTS} arguments with escapes in a query; send so many in the body")


def too_many(most: str) -> Answer:
    return Answer(431, "too_large", f"The head of a request has at most {most}.")
