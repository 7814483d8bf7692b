"""What is refused at Portico's own addresses in the Jupyter server before one of the server's handlers sees it.

Those handlers remember for good some of what strangers send: a method that nobody ever heard of becomes a series of the
server's metrics, and a Referer goes into its log. And they parse any head, whatever that costs. So a rule in front
of them looks at each request for the control API and the login. Requests for apps and models have rules of their own,
and reach no handler.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate, HTTPServerRequest
from tornado.web import RequestHandler

from portico.hub.answers import Answer
from portico.hub.firewall.heads import check_head
from portico.hub.visits import Visit
from portico.jupyter.edge import Edge, VisitorDelegate
from portico.jupyter.heads import PrefixMatcher, has_body, lower_name
from portico.types import Headers

_METHODS = RequestHandler.SUPPORTED_METHODS


class Hostile(PrefixMatcher):
    """Matches the requests under a prefix that are refused. Its rule's target is `Refuser`."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        if super().match(request) is None:
            return None
        headers: Headers = [
            (lower_name(name), value.encode("latin-1", "replace")) for name, value in request.headers.get_all()
        ]
        target = (request.uri or "").encode("latin-1", "replace")
        if any(name == b"upgrade" for name, _ in headers) and has_body(request.headers):
            return {}  # which every `VisitorDelegate` refuses
        return None if _refusal(request.method or "", target, headers) is None else {}


def _refusal(method: str, target: bytes, headers: Headers) -> Answer | None:
    """What to answer a request that no handler is to see; None if one may."""
    if method not in _METHODS:
        allow = ((b"allow", ", ".join(_METHODS).encode()),)
        return Answer(405, "method_not_allowed", "That method is not for this address.", headers=allow)
    if not target.isascii():
        return Answer(400, "bad_target", "The request's target must be percent-encoded.")
    if not all(name != b"referer" or _is_url(value) for name, value in headers):
        return Answer(400, "bad_request", "Referer is not an address.")
    try:
        check_head(target, headers)
    except Answer as answer:
        return answer
    return None


def _is_url(value: bytes) -> bool:
    """Whether it is one that Jupyter's log can take apart and write: it fails on others, and shows them as they are."""
    if len(value) > _MOST_REFERER or not _VISIBLE.fullmatch(value):
        return False
    try:
        urlsplit(value.decode("ascii"))
    except ValueError:  # as http://[
        return False
    return True


_VISIBLE = re.compile(rb"[!-~]*")
_MOST_REFERER = 8 * 1024  # bytes: browsers cut one to its origin from half of that on


class Refuser(HTTPServerConnectionDelegate):
    """Answers what `Hostile` has matched."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return _Refusing(self._edge, request_conn)


class _Refusing(VisitorDelegate):
    """One of them."""

    __slots__ = ()

    def _route(self, visit: Visit) -> Any:
        request = visit.request
        raise _refusal(request.method, request.target, request.headers) or Answer(400, "bad_request", "Refused.")
