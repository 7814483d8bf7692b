"""The tornado edge: visitors' requests are taken at the routing layer, in front of every handler of the server.

A `tornado.routing.Rule` sends what is under ``/portico/apps/`` and ``/portico/link`` to a connection delegate, which
sees the head and each chunk of the body: no RequestHandler, no body limit, no buffering. What tornado leaves to whoever
writes here: bodies of HEAD, 204 and 304 are dropped; one write is under way at a time; an answer before the body's end
lingers, or the reset would eat it; Date and the access log are ours.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import time
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
)
from tornado.iostream import StreamClosedError

from portico.hub.answers import Answer
from portico.hub.exchange import Upload
from portico.hub.gateway import Admission, VisitorRequest
from portico.hub.http1 import ResponseWriter
from portico.hub.hub import Hub
from portico.hub.reply import reply
from portico.hub.unfinished import Unfinished
from portico.jupyter.heads import read_head
from portico.jupyter.identity import JupyterIdentities
from portico.jupyter.links import accept_link
from portico.jupyter.sockets import ServerSocket
from portico.jupyter.visitor_socket import SocketVisitor
from portico.log_text import MOST_PATH, shown
from portico.protocol import Kind
from portico.types import Headers

logger = logging.getLogger(__name__)

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 8 * 1024 * 1024
"""How much of an unwanted body is read and thrown away so that the answer to it arrives."""

_LOOK_EVERY = 0.25  # seconds

_CONTINUE_AFTER = 0.05
"""Seconds that an app has to refuse a request that expects 100-continue before the visitor is told to send its body
(RFC 9110 §10.1.1). A visitor that does not wait for the word is not held up, and others wait a second for it."""

_UNLIMITED = 1 << 62


class Edge(HTTPServerConnectionDelegate):
    """The target of the rule: makes a delegate for each request."""

    def __init__(
        self, hub: Hub, identities: JupyterIdentities, base_path: str, access_log: logging.Logger, log_level: int
    ) -> None:
        """*base_path* is the server's base URL path with ``portico/`` after it; *log_level* what the server shows."""
        self.hub = hub
        self.identities = identities
        self.tls_ends_before = False
        """Whether visitors speak https to a proxy in front, whatever this server is spoken to by (``public_url``)."""
        self.apps_prefix = (base_path + "apps/").encode("latin-1")
        self.link_path = (base_path + "link").encode("latin-1")
        self.access_log = access_log
        self.log_level = log_level
        self.unfinished = Unfinished()

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return VisitorDelegate(self, request_conn)


class VisitorDelegate(HTTPMessageDelegate):
    """One HTTP exchange of a visitor; the responder of `portico.hub.exchange.HTTPForward`."""

    __slots__ = (
        "_body_done",
        "_connection",
        "_edge",
        "_expects",
        "_fin",
        "_finished",
        "_forward",
        "_gone",
        "_linger",
        "_lingered",
        "_request",
        "_started",
        "_status",
        "_writer",
    )

    def __init__(self, edge: Edge, connection: HTTP1Connection) -> None:
        self._edge = edge
        self._connection = connection
        self._forward: Upload | None = None
        self._request: VisitorRequest | None = None
        self._fin = True
        """The request has no body."""
        self._expects = False
        """The visitor waits for a 100 before it sends its body."""
        self._started = 0.0
        self._status = 0
        self._writer: ResponseWriter | None = None
        self._body_done = False
        self._finished = False
        self._gone = False
        self._linger: asyncio.TimerHandle | None = None
        self._lingered = 0

    # --- tornado's calls -------------------------------------------------------------------------------------

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        self._started = time.monotonic()
        connection = self._connection
        connection.set_max_body_size(_UNLIMITED)
        edge = self._edge
        head = read_head(connection, start_line, headers, edge.apps_prefix, edge.tls_ends_before)
        self._request, self._fin, expects, upgrades = head
        request = head.request
        if expects:
            del headers["Expect"]  # tornado would say its 100 at once, and after a final answer too
            self._expects = not self._fin and request.http_version == "1.1"
        try:
            # HTTP/1.0 may come without a Host, as no browser does: then there is no name that could be rebound
            if not (edge.identities.host_allowed(request.host) if request.host else request.http_version == "1.0"):
                raise Answer(403, "host", "This server does not answer under that host name.")
            if upgrades and not self._fin:  # tornado reads the body; a proxy in front may not (RFC 9112 §11.2)
                self._connection._disconnect_on_finish = True
                raise Answer(
                    400, "bad_request", "A request with Upgrade must not have a body: send it without Upgrade."
                )
            return self._route(request)
        except Answer as answer:
            self.answer(answer)
            return None

    def _route(self, request: VisitorRequest) -> Any:
        """Pass the gate and open a stream: at once where that is possible, else a future. Raises an `Answer`."""
        edge = self._edge
        if request.kind is Kind.WEBSOCKET:
            return asyncio.ensure_future(self._upgrade(request))
        if not request.target.startswith(edge.apps_prefix):
            raise Answer(426, "upgrade_required", "This is where providers link to the hub, by WebSocket.")
        if not request.target.isascii():
            self._connection._disconnect_on_finish = True  # what follows such a head need not be a request
            raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
        edge.hub.gateway.parse(request)
        admission = edge.hub.gateway.admit_now(request)
        if admission is not None and self._open(request, admission):
            return None
        return asyncio.ensure_future(self._admit(request))

    def data_received(self, chunk: bytes) -> Any:
        self._expects = False
        forward = self._forward
        if forward is not None and not self._finished:
            wait = forward.upload(chunk)
            if wait is not None:
                self._watch(wait)
            return wait
        self._lingered += len(chunk)
        if self._lingered > _LINGER_BYTES and self._linger is not None:
            self._linger.cancel()
            self._end()
        return None

    def finish(self) -> None:
        self._body_done = True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
            self._end()
            return
        if self._finished:
            self._end()
            return
        self._connection.set_close_callback(self.on_connection_close)
        if self._forward is not None and not self._fin:
            self._forward.upload_done()

    def on_connection_close(self) -> None:
        self._gone = True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._forward is not None:
            self._forward.visitor_left()
        if self._status and not self._finished:
            self._log()

    def _watch(self, wait: asyncio.Future[None]) -> None:
        """Look after the visitor while the app holds its upload back: tornado does not, as it does not read."""

        def look() -> None:
            if wait.done() or self._forward is None:
                return
            if _is_broken(self._connection.stream.socket):
                self._forward.visitor_left()
            else:
                self._watch(wait)

        asyncio.get_running_loop().call_later(_LOOK_EVERY, look)

    # --- the request -----------------------------------------------------------------------------------------

    async def _admit(self, request: VisitorRequest) -> None:
        """The gate, where it has to ask or to wait. Until it ends no 100 Continue goes out."""
        try:
            admission = await self._edge.hub.gateway.admit(request)
            while not self._gone and not self._open(request, admission):
                await self._edge.hub.gateway.ready(admission.service, request.caller)
        except Answer as answer:
            if not self._gone:
                self.answer(answer)

    def _open(self, request: VisitorRequest, admission: Admission) -> bool:
        forward = self._edge.hub.gateway.forward(request, admission, self, fin=self._fin, on_done=_nothing)
        if forward is None:
            return False
        self._forward = forward
        if self._expects:
            asyncio.get_running_loop().call_later(_CONTINUE_AFTER, self._continue)
        return True

    def _continue(self) -> None:
        """Let the visitor send its body: the app has not answered without it."""
        if self._expects and not self._status and not self._gone:
            self._expects = False
            self._connection.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- the answer ------------------------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        # tornado's own way would sort the headers and parse them again
        request, connection = self._request, self._connection
        assert request is not None
        self._status = status
        if self._expects:  # the body will not be asked for; if it comes, it is read for a while (RFC 9110 §10.1.1)
            connection._disconnect_on_finish = True
        writer = self._writer = ResponseWriter(
            request.method, request.http_version, bool(connection._disconnect_on_finish)
        )
        try:
            data = writer.begin(status, headers, body, fin)
        except ValueError as error:
            self._broken(error)
            return None
        connection._disconnect_on_finish = writer.close
        return self._send(data, fin)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        assert self._writer is not None
        try:
            data = self._writer.more(body, fin)
        except ValueError as error:
            self._broken(error)
            return None
        return self._send(data, fin)

    def _send(self, data: bytes, fin: bool) -> asyncio.Future[None] | None:
        future: asyncio.Future[None] | None = None
        try:
            if data:
                future = self._connection.write(data)
            if fin:
                self._finish()
        except StreamClosedError as error:
            self._broken(error)
            return None
        return future

    def answer(self, answer: Answer) -> None:
        headers, body = reply(answer, self._request)
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        self._finished = True
        self._log()
        self._connection.close()

    def _finish(self) -> None:
        """The response is whole. If its request is not, read on for a while: closing now would reset it away."""
        self._finished = True
        self._forward = None
        self._log()
        if self._body_done:
            self._connection.finish()
        elif not self._fin:  # one without a body is about to be through: `finish` ends it, and the connection stays
            self._linger = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._end)

    def _end(self) -> None:
        self._linger = None
        if not self._connection.stream or self._connection.stream.closed():
            return
        self._connection.finish()

    def _broken(self, error: Exception) -> None:
        """The visitor left, or the app broke its own Content-Length: either way nothing more can be said."""
        logger.debug("a response could not be written: %s", error)
        self._finished = True
        self._log()
        self._connection.close()
        if self._forward is not None:
            self._forward.visitor_left()

    def _log(self) -> None:
        edge, request = self._edge, self._request
        level = logging.DEBUG if self._status < 400 else logging.INFO if self._status < 500 else logging.WARNING
        if level >= edge.log_level and request is not None:
            path = shown(request.target.partition(b"?")[0], MOST_PATH)  # no query: it may hold a key
            milliseconds = (time.monotonic() - self._started) * 1000
            method, client = shown(request.method), shown(request.client[0]) if request.client else "-"
            edge.access_log.log(level, "%d %s %s (%s) %.2fms", self._status, method, path, client, milliseconds)

    # --- WebSockets ------------------------------------------------------------------------------------------

    async def _upgrade(self, request: VisitorRequest) -> None:
        """Pass the gate, then take the connection over from tornado."""
        edge = self._edge
        if request.target.partition(b"?")[0] == edge.link_path:
            if edge.identities.may_link(request):
                accept_link(edge.hub, edge.identities, self._connection, request)
            else:
                self.answer(Answer(403, "cross_origin", "On a server without a token only its own pages may link."))
            return
        try:
            if not (request.target.startswith(edge.apps_prefix) and request.target.isascii()):
                raise Answer(404, "not_found", "There is no app under that address.")
            edge.hub.gateway.parse(request)
            admission = edge.hub.gateway.admit_now(request) or await edge.hub.gateway.admit(request)
        except Answer as answer:
            if not self._gone:
                self.answer(answer)
            return
        visit = self._take_over(request)
        if visit is not None:
            await visit.open(admission)

    def _take_over(self, request: VisitorRequest) -> SocketVisitor | None:
        """Take the connection over from tornado. None: there is nobody any more, or no handshake, which is answered."""
        edge = self._edge
        if self._gone or self._connection.stream.closed():
            return None
        request.subprotocols = tuple(
            item.strip().decode("latin-1")
            for name, value in request.headers
            if name == b"sec-websocket-protocol"
            for item in value.split(b",")
            if item.strip()
        )
        stream = self._connection.detach()
        socket = ServerSocket(stream, request.headers, edge.hub.config.max_websocket_message, edge.unfinished)
        visit = SocketVisitor(edge.hub.gateway, socket, request, edge.access_log)
        return visit if visit.is_valid() else None


def _nothing() -> None: ...


def _is_broken(connection: socket.socket | None) -> bool:
    """Whether the peer has reset *connection*. An orderly end behind bytes that nobody reads cannot be seen."""
    if connection is None:
        return True
    if not hasattr(select, "poll"):  # Windows: it is seen once the upload goes on
        return False
    poll = select.poll()
    poll.register(connection, 0)  # errors and hang-ups are told unasked
    return bool(poll.poll(0))
