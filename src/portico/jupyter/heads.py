"""What the head of a visitor's request says, as tornado has read it: names of fields, target, body.

No connection is kept here and nothing is answered: that is the `edge`'s.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tornado import httputil
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.routing import Matcher

from portico.bounded import BoundedCache
from portico.hub.client_address import read_address
from portico.hub.date_and_server import server_of
from portico.hub.firewall.heads import SMALL
from portico.hub.request import VisitorRequest
from portico.protocol import Kind
from portico.types import Headers

_LONGEST_CONNECTION = 4096
"""Characters of a Connection field that is taken apart."""

_NOTED = frozenset({b"host", b"connection", b"upgrade", b"expect"})


class PrefixMatcher(Matcher):
    """Matches every path that starts with a prefix, in absolute-form too, and gives nothing to the target."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        path = request.path
        if not path.startswith("/"):
            path = _origin_form(path)[0]
        return {} if path.startswith(self._prefix) else None


class RequestHead(NamedTuple):
    """A request's head, and what it says of the connection."""

    request: VisitorRequest
    fin: bool
    """No body follows."""
    expects: bool
    """The visitor waits for a 100 before it sends its body."""
    upgrades: bool
    """It names another protocol, whether it asks for it or not."""


def read_head(
    connection: HTTP1Connection,
    start_line: RequestStartLine,
    headers: HTTPHeaders,
    apps_prefix: bytes,
    tls_ends_before: bool,
) -> RequestHead:
    """Read a head that came on *connection*, which is told if it ends with this exchange.

    *apps_prefix* is the path of all apps. *tls_ends_before* says that visitors speak https to a proxy in front.
    """
    pairs: Headers = []
    host = named = upgrade = ""
    expects = ends = False
    size = len(start_line.path)
    for name, value in headers.get_all():
        size += len(value)
        lower = lower_name(name)
        if lower in _NOTED:
            if lower == b"host":
                host = value
            elif lower == b"connection":
                named += "," + value.lower()
            elif lower == b"upgrade":
                upgrade = value.lower()
            else:
                expects = value.lower() == "100-continue"
        pairs.append((lower, value.encode("latin-1")))
    fields = dict(pairs)
    if len(fields) == len(pairs):  # mostly; tornado's own table, which joins what comes twice, costs more to ask
        fin = fields.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in fields
    else:
        fin = not has_body(headers)
    websocket = False
    if len(named) > _LONGEST_CONNECTION:
        ends = True  # the gate refuses such a list
    elif named:
        tokens = [token.strip() for token in named.split(",")]
        websocket = upgrade == "websocket" and "upgrade" in tokens and start_line.method == "GET"
        if "close" in tokens:  # tornado sees it only where it stands alone
            ends = True
    path: str = start_line.path
    if not path.startswith("/"):
        path, host = _origin_form(path)
    if "#" in path:
        path = path.partition("#")[0]  # a fragment is the visitor's own, and never belongs here (RFC 9112 §3.2)
    if ends:
        connection._disconnect_on_finish = True
    context: Any = connection.context
    address = context.address
    # where the server trusts X-Forwarded-For, tornado takes `1` and `127.1` for addresses too
    remote_ip = read_address(context.remote_ip or "") or (str(address[0]) if isinstance(address, tuple) else "")
    client = (remote_ip, address[1] if isinstance(address, tuple) and len(address) > 1 else 0)
    scheme: str = context.protocol
    if tls_ends_before and not _is_direct(pairs, host):
        scheme = "https"
    request = VisitorRequest(
        Kind.WEBSOCKET if websocket else Kind.HTTP,
        start_line.method,
        scheme,
        host,
        start_line.version[5:],
        path.encode("latin-1"),
        pairs,
        client if remote_ip else None,
        server_of(host, scheme) if host else _listener(connection),
        apps_prefix,
        _offered(pairs) if websocket else (),
        fields=fields,
        small=size <= SMALL,
    )
    return RequestHead(request, fin, expects, bool(upgrade))


def _offered(headers: Headers) -> tuple[str, ...]:
    """The subprotocols that the visitor of a WebSocket offers (RFC 6455 §11.3.4)."""
    return tuple(
        item.strip().decode("latin-1")
        for name, value in headers
        if name == b"sec-websocket-protocol"
        for item in value.split(b",")
        if item.strip()
    )


def has_body(headers: HTTPHeaders) -> bool:
    """Whether the head of a request says that a body follows."""
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers


_LONGEST_NAME = 100
"""Characters of a field's name that is remembered: visitors choose names, and no usual one has more."""


def _forget_names() -> None:
    """Have tornado forget names of fields: it remembers the last thousand, of 64 KiB each if a visitor wants that."""
    forget = getattr(getattr(httputil, "_normalize_header", None), "cache_clear", None)
    if forget is not None:
        forget()


_LOWER: BoundedCache[str, bytes] = BoundedCache(longest=_LONGEST_NAME)


def lower_name(name: str) -> bytes:
    """A field's name in lower case. One that is longer than any usual one is kept nowhere, by tornado neither."""
    lower = _LOWER.get(name)
    if lower is None:
        if len(name) > _LONGEST_NAME:
            _forget_names()
        lower = _LOWER.keep(name, name.lower().encode("latin-1"), len(name))
    return lower


def _is_direct(headers: Headers, host: str) -> bool:
    """Whether a page of this server at a loopback address asks, so that no proxy is in front of it."""
    if not host.startswith(("127.", "localhost", "[::1]")):
        return False
    return any(name == b"origin" and value == b"http://" + host.encode("latin-1") for name, value in headers)


def _origin_form(target: str) -> tuple[str, str]:
    """Path with query, and authority, of a target in absolute-form (RFC 9112 §3.2.2); ("", "") for any other."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return "", ""
    authority, slash, path = rest.partition("/")
    return slash + path, authority


def _listener(connection: HTTP1Connection) -> tuple[str, int] | None:
    """The ``server`` of an ASGI scope where the visitor named none."""
    try:
        name = connection.stream.socket.getsockname()
    except (AttributeError, OSError):  # gone already, or no socket
        return None
    return (name[0], name[1]) if isinstance(name, tuple) else None
