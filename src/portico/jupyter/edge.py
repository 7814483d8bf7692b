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
from portico.hub.http1 import ResponseWriter
from portico.hub.http_forward import HTTPForward
from portico.hub.hub import Hub
from portico.hub.request import parse
from portico.hub.responders import Upload
from portico.hub.unfinished import Unfinished
from portico.hub.visits import BROKEN, COMPLETE, LEFT, Visit
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
        self.unfinished = Unfinished()
        self._access_log = access_log
        self._log_level = log_level
        hub.visits.accepted.subscribe(self._log)
        hub.visits.ended.subscribe(self._log_ended)

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return VisitorDelegate(self, request_conn)

    def _log_ended(self, visit: Visit) -> None:
        status = visit.status
        if status < 400 and self._log_level > logging.DEBUG:  # most of them: nothing to log
            return
        if status and status != 101:  # which was logged when it began
            self._log(visit)

    def _log(self, visit: Visit) -> None:
        """A line of the server's access log, as tornado writes them."""
        status = visit.status
        level = logging.DEBUG if status < 400 else logging.INFO if status < 500 else logging.WARNING
        if level < self._log_level:
            return
        request = visit.request
        path = shown(visit.path, MOST_PATH)
        milliseconds = ((visit.ended or time.monotonic()) - visit.came) * 1000
        client = shown(visit.client) or "-"
        method = "WebSocket" if request.kind is Kind.WEBSOCKET else shown(request.method)
        self._access_log.log(level, "%d %s %s (%s) %.2fms", status, method, path, client, milliseconds)


class VisitorDelegate(HTTPMessageDelegate):
    """One HTTP exchange of a visitor; the responder of `portico.hub.http_forward.HTTPForward`."""

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
        "_visit",
        "_writer",
    )

    def __init__(self, edge: Edge, connection: HTTP1Connection) -> None:
        self._edge = edge
        self._connection = connection
        self._forward: Upload | None = None
        self._visit: Visit | None = None
        self._fin = True
        """The request has no body."""
        self._expects = False
        """The visitor waits for a 100 before it sends its body."""
        self._writer: ResponseWriter | None = None
        self._body_done = False
        self._finished = False
        self._gone = False
        self._linger: asyncio.TimerHandle | None = None
        self._lingered = 0

    # --- tornado's calls -------------------------------------------------------------------------------------

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        connection = self._connection
        connection.set_max_body_size(_UNLIMITED)
        edge = self._edge
        head = read_head(connection, start_line, headers, edge.apps_prefix, edge.tls_ends_before)
        request, self._fin, expects, upgrades = head
        self._visit = visit = Visit(edge.hub.visits, request)
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
            return self._route(visit)
        except Answer as answer:
            self.answer(answer)
            return None

    def _route(self, visit: Visit) -> Any:
        """Pass the gate and open a stream: at once where that is possible, else a future. Raises an `Answer`."""
        edge, request = self._edge, visit.request
        if request.kind is Kind.WEBSOCKET:
            return asyncio.ensure_future(self._upgrade(visit))
        if not request.target.startswith(edge.apps_prefix):
            raise Answer(426, "upgrade_required", "This is where providers link to the hub, by WebSocket.")
        if not request.target.isascii():
            self._connection._disconnect_on_finish = True  # what follows such a head need not be a request
            raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
        gateway = edge.hub.gateway
        visit.target = parse(request)
        self._forward = forward = HTTPForward(visit, self, fin=self._fin)
        if not gateway.open_now(forward):
            return asyncio.ensure_future(self._open(forward))
        if self._expects:
            self._opened()
        return None

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
        self._ended(LEFT)

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

    async def _open(self, forward: HTTPForward) -> None:
        """The gate, where it has to ask or to wait. Until it ends no 100 Continue goes out."""
        try:
            await self._edge.hub.gateway.open(forward)
        except Answer as answer:
            if not self._gone:
                self.answer(answer)
            return
        if self._expects and not forward.over:
            self._opened()

    def _opened(self) -> None:
        """Give the app a while to answer before its visitor is told to send the body."""
        asyncio.get_running_loop().call_later(_CONTINUE_AFTER, self._continue)

    def _continue(self) -> None:
        """Let the visitor send its body: the app has not answered without it."""
        if self._expects and self._writer is None and not self._gone:
            self._expects = False
            self._connection.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- the answer ------------------------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        # tornado's own way would sort the headers and parse them again
        visit, connection = self._visit, self._connection
        assert visit is not None
        visit.answered(status)
        request = visit.request
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
        assert self._visit is not None
        headers, body = self._visit.render(answer)
        self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        self._finished = True
        self._ended(BROKEN)
        self._connection.close()

    def _finish(self) -> None:
        """The response is whole. If its request is not, read on for a while: closing now would reset it away."""
        self._finished = True
        self._forward = None
        self._ended(COMPLETE)
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
        self._ended(BROKEN)
        self._connection.close()
        if self._forward is not None:
            self._forward.visitor_left()

    def _ended(self, how: str) -> None:
        if self._visit is not None:
            self._visit.end(how)

    # --- WebSockets ------------------------------------------------------------------------------------------

    async def _upgrade(self, visit: Visit) -> None:
        """Pass the gate, then take the connection over from tornado."""
        edge, request, gateway = self._edge, visit.request, self._edge.hub.gateway
        if request.target.partition(b"?")[0] == edge.link_path:
            if edge.identities.may_link(request):
                visit.drop()
                self._visit = None
                accept_link(edge.hub, edge.identities, self._connection, request)
            else:
                self.answer(Answer(403, "cross_origin", "On a server without a token only its own pages may link."))
            return
        try:
            if not (request.target.startswith(edge.apps_prefix) and request.target.isascii()):
                raise Answer(404, "not_found", "There is no app under that address.")
            visit.target = parse(request)
            admission = await gateway.let_in(visit)
        except Answer as answer:
            if not self._gone:
                self.answer(answer)
            return
        visitor = self._take_over(visit)
        if visitor is not None:
            await visitor.open(admission)

    def _take_over(self, visit: Visit) -> SocketVisitor | None:
        """Take the connection over from tornado. None: there is nobody any more, or no handshake, which is answered."""
        edge = self._edge
        if self._gone or self._connection.stream.closed():
            visit.end(LEFT)
            return None
        stream = self._connection.detach()
        socket = ServerSocket(stream, visit.request.headers, edge.hub.config.max_websocket_message, edge.unfinished)
        visitor = SocketVisitor(edge.hub.gateway, socket, visit)
        return visitor if visitor.is_valid() else None


def _is_broken(connection: socket.socket | None) -> bool:
    """Whether the peer has reset *connection*. An orderly end behind bytes that nobody reads cannot be seen."""
    if connection is None:
        return True
    if not hasattr(select, "poll"):  # Windows: it is seen once the upload goes on
        return False
    poll = select.poll()
    poll.register(connection, 0)  # errors and hang-ups are told unasked
    return bool(poll.poll(0))
