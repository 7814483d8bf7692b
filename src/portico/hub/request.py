"""A visitor's request as it came in, before anything is decided, and what can be seen from it alone.

What is found out about it later is in its `portico.hub.visits.Visit`.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from portico.hub import access, answers
from portico.hub.answers import Answer
from portico.hub.firewall import headers
from portico.hub.firewall.heads import check_head
from portico.protocol import Kind
from portico.types import Headers


class VisitorRequest(NamedTuple):
    """One request, frozen. Header names are lower case. An edge makes it.

    A tuple, as one is made for each request: a frozen dataclass takes five times as long to make.
    """

    kind: Kind
    method: str
    scheme: str
    """``http`` or ``https``, as the visitor sees it."""
    host: str
    """The Host header."""
    http_version: str
    target: bytes
    """Path and query, raw."""
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    prefix: bytes
    """What the path of every service starts with (``/portico/apps/``, with the server's base URL before it)."""
    subprotocols: tuple[str, ...] = ()
    """Those that the visitor of a WebSocket offers."""
    caller: str = ""
    """Whom it counts for where each has a share: the network of the visitor's address; "" for nobody, where visitors
    cannot be told apart (`HubConfig.by_address`), or a trusted proxy says nothing of its visitor."""
    fields: dict[bytes, bytes] | None = None
    """``dict(headers)``: to see at once which there are. None where the edge has not made it."""
    small: bool = False
    """Whether the edge knows target and headers to have at most `heads.SMALL` bytes."""


class Target(NamedTuple):
    """Which service a request names, and what it asks of it."""

    name: str
    """The service's."""
    raw_path: bytes
    """What follows the name, from its slash on."""
    query: bytes
    root_path: str
    """What comes before `raw_path`; empty for a service with a host of its own."""


def parse(request: VisitorRequest) -> Target:
    """Split the target into service, path and query. Raises an `Answer` (308) to add the slash after a name."""
    target = request.target
    path, mark, query = target.partition(b"?")
    raw_name, slash, tail = path[len(request.prefix) :].partition(b"/")
    name = raw_name.decode("latin-1")
    if "%" in name and len(name) <= _LONGEST_NAME:
        name = unquote_to_bytes(raw_name).decode("utf-8", "replace")
    if not slash and _A_NAME.fullmatch(name):  # whether there is such a service is not said before the gate
        check_head(target, request.headers)
        location = request.prefix + raw_name + b"/" + mark + query
        raise answers.redirect(308, "slash", "The URL of a service ends with a slash.", location)
    return Target(name, slash + tail, query, (request.prefix + raw_name).decode("latin-1"))


_LONGEST_NAME = 100
"""Bytes of a service's name in a path, which has up to 30 characters, with each of them percent-encoded."""

_A_NAME = re.compile(r"[a-z0-9-]{1,30}")


def cross_site(request: VisitorRequest) -> Answer | None:
    """The answer to a request that another site's page makes in a browser's name, if it is one."""
    return access.cross_site(
        request.method,
        request.headers,
        request.host,
        websocket=request.kind == Kind.WEBSOCKET,
        secure=request.scheme == "https",
    )


def shows_token(request: VisitorRequest, query: bytes) -> bool:
    """Whether a credential may be in the Authorization header or in the query."""
    return any(name == b"authorization" for name, _ in request.headers) or headers.has_argument(query, b"token")


def by_browser(request: VisitorRequest) -> bool:
    """Whether a browser says that it sends this (Fetch Metadata)."""
    return any(name == b"sec-fetch-mode" for name, _ in request.headers)


def is_preflight(request: VisitorRequest) -> bool:
    """Whether a browser asks for another origin's page whether it may (CORS)."""
    if request.method != "OPTIONS" or request.kind != Kind.HTTP:
        return False
    names = {name for name, _ in request.headers}
    return b"origin" in names and b"access-control-request-method" in names
