"""The ASGI edge: visitors' requests and providers' links, from any ASGI server.

A request's own task reads (its body, and that its visitor left); answers are written from the link's callbacks, by
`portico.relay.edge.driving`. What ASGI leaves to whoever writes here: bodies of 204 and 304 are dropped; a connection
is cut by returning before the response is whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from portico import foreign
from portico.hub.answers import Answer, late_body, restarting
from portico.hub.exchange import HTTPForward, Responder, VisitorSocket
from portico.hub.firewall.headers import BODILESS
from portico.hub.firewall.heads import SMALL
from portico.hub.gateway import Admission, VisitorRequest
from portico.hub.models.base import AllModels, ModelsExchange
from portico.hub.models.held_bodies import HeldBodies
from portico.hub.reply import date, reply, server_of
from portico.hub.shares import network_of
from portico.hub.unfinished import Unfinished
from portico.protocol import SUBPROTOCOL, Kind
from portico.relay.edge.addresses import Addresses
from portico.relay.edge.driving import drive
from portico.relay.edge.proxies import TrustedProxies
from portico.relay.edge.routes import Location, Places
from portico.relay.operate.log import new_request_id
from portico.transports.transport import Receiver as LinkReceiver
from portico.types import Headers, Receive, Scope, Send

if TYPE_CHECKING:
    from portico.relay.operate.metrics import Counters
    from portico.relay.relay import Relay
    from portico.relay.workspaces import Workspace

logger = logging.getLogger(__name__)

_MOST_FORM = 16 * 1024
"""Bytes of a form that is posted to ``/.portico/``."""

_CONTINUE_AFTER = 0.05
"""Seconds that an app has to refuse a request that expects 100-continue before the visitor is told to send its body
(RFC 9110 §10.1.1): a server says so when the body is first asked for."""


_HIGHEST_STATUS = 599  # uvicorn knows no status line for more

OWN_MESSAGES = "portico.own_messages"
"""An ASGI extension of the relay's own server: an `OwnSocket`. Other servers have no such way past ASGI."""


class OwnSocket(Protocol):
    """A WebSocket, as the relay's own server knows it."""

    def hand_over(self, take: Callable[[bytes], None]) -> Callable[[int], None]:
        """Give each binary message to *take*. Returns what is told how long a message may be; with other servers as
        long as they are set to."""

    def say(self, data: bytes, *, text: bool = False) -> bool:
        """Send a message now; *text* is UTF-8. False: nothing was sent, and it is to go by ASGI's ``send``."""


OwnRequest = tuple[VisitorRequest, Location]
"""A request that a server has read by itself, and where it goes (`Edge.read`)."""


class OwnConnection(Protocol):
    """A visitor's connection, as a server knows it."""

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    scheme: Literal["http", "https"] | None
    caller: str
    """`VisitorRequest.caller` of its requests, where no proxy says whose they are."""


class OwnResponder(Responder, Protocol):
    """A server's own way of answering, past ASGI (`Edge.begin`)."""

    request: VisitorRequest | None
    workspace: str


class Edge:
    """What the ASGI app calls for everything that is not the relay's own page."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.places = Places(relay.config)
        self.proxies = TrustedProxies(relay.config.forwarded_allow_ips)
        self.addresses = Addresses()
        self.held = HeldBodies()
        """What is held of bodies that have not named their model, in all workspaces."""
        self.unfinished = Unfinished()
        self.sockets: set[_SocketVisit] = set()
        """Visitors' WebSockets that are under way."""

    def _caller(self, client: tuple[str, int] | None, peer: tuple[str, int] | None) -> str:
        """Whom a request counts for (`VisitorRequest.caller`). A proxy that names no visitor (*client* is *peer*) is
        nobody, as all its visitors would share one share."""
        if client is None or (client is peer and self.proxies.is_trusted(client[0])):
            return ""
        return network_of(client[0])

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def http(self, scope: Scope, receive: Receive, send: Send, location: Location) -> None:
        """One request to a service, to all models of a workspace, or to ``/.portico/`` of a service."""
        request = self._request(scope, location, Kind.HTTP)
        reading = _Reading(self)
        visit = _Visit(self, request, send, reading.stop)
        try:
            await self._http(request, visit, reading, receive, location)
        finally:
            visit.over(location)

    async def _http(
        self, request: VisitorRequest, visit: _Visit, reading: _Reading, receive: Receive, location: Location
    ) -> None:
        fin = not _has_body(request.headers)
        try:
            if self.addresses.over and request.caller:
                self.addresses.check(request.caller)
            if not request.target.isascii():
                raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
            workspace = self.relay.workspaces.get(location.workspace)
            if location.models:
                exchange = AllModels(workspace.gateway, workspace.registry, location.base, self.held).exchange(
                    request, visit, fin=fin
                )
                if await exchange.start():
                    visit.expects = False
                    await reading.upload(exchange, receive, visit)
                else:
                    await reading.watch(exchange, receive)
                return
            self._split(workspace, request, location)
            if request.raw_path.startswith(b"/.portico/"):
                form = await self._form(receive)
                if form is not None:
                    await reading.finish(visit.say(await self.relay.doorway.handle(workspace, request, form)))
                return
            forward = await self._open(workspace, request, visit, fin)
        except Answer as answer:
            await reading.finish(visit.say(answer))
            return
        if fin:
            await reading.watch(forward, receive)
        else:
            await reading.upload(forward, receive, visit)

    async def _open(self, workspace: Workspace, request: VisitorRequest, visit: _Visit, fin: bool) -> HTTPForward:
        """Pass the gate and open a stream. Raises an `Answer`."""
        gateway = workspace.gateway
        admission: Admission = gateway.admit_now(request) or await gateway.admit(request)
        while True:
            forward = gateway.forward(request, admission, visit, fin=fin, on_done=_nothing)
            if forward is not None:
                return forward
            await gateway.ready(admission.service, request.caller)

    def read(
        self,
        connection: OwnConnection,
        method: str,
        http_version: str,
        target: bytes,
        headers: Headers,
        fields: dict[bytes, bytes],
        size: int,
    ) -> OwnRequest | None:
        """A request without a body, to be begun (`begin`) once or more. None: `http` must be called.

        *target* is the path and the query as they came, all of them visible ASCII; *fields* is ``dict(headers)``; the
        head has *size* bytes. All that depends on more than that, the connection and the settings, is for `begin`.
        """
        host = fields.get(b"host", b"").decode("latin-1")
        location = self.places.locate(host, target.partition(b"?")[0], connection.server)
        if location is None or location.models or not location.host:
            return None
        peer: tuple[str, int] | None = connection.client
        scheme: str = connection.scheme or "http"
        client, caller = peer, connection.caller
        if b"x-forwarded-for" in fields or b"x-forwarded-proto" in fields:
            client, scheme = self.proxies.visitor(peer, scheme, headers)
            caller = self._caller(client, peer)
        request = VisitorRequest(
            Kind.HTTP,
            method,
            scheme,
            host,
            http_version,
            target,
            headers,
            client,
            server_of(host, scheme),
            location.prefix,
            (),
            caller,
            fields,
            size <= SMALL,
        )
        return request, location

    def begin(self, responder: OwnResponder, request: VisitorRequest, location: Location) -> Callable[[], None] | None:
        """`http` for a request that needs no waiting: a service that is linked, a visitor who is known.

        Returns what to call when the visitor leaves. None: nothing was done, and `http` must be called.
        """
        responder.request = request
        responder.workspace = location.workspace
        workspace = self.relay.workspaces.get(location.workspace)
        request.cors_origin = b""
        try:
            if self.addresses.over and request.caller:
                self.addresses.check(request.caller)
            if not request.raw_path:  # else it was begun before
                self._split(workspace, request, location)
            if request.raw_path.startswith(b"/.portico/"):
                return None
            admission = workspace.gateway.admit_now(request)
            if admission is None:
                return None
            forward = workspace.gateway.forward(request, admission, responder, fin=True, on_done=_nothing)
            return forward.visitor_left if forward is not None else None
        except Answer as answer:
            responder.answer(answer)
            return _nothing

    @staticmethod
    def _split(workspace: Workspace, request: VisitorRequest, location: Location) -> None:
        """Find the service's name and the path below it. Raises an `Answer`."""
        if location.own_host:
            path, _, request.query = request.target.partition(b"?")
            request.name, request.raw_path = location.service, path
        else:
            workspace.gateway.parse(request)

    # --- WebSockets ---------------------------------------------------------------------------------------------

    async def websocket(self, scope: Scope, receive: Receive, send: Send, location: Location) -> None:
        """A visitor's WebSocket."""
        request = self._request(scope, location, Kind.WEBSOCKET)
        request.subprotocols = tuple(scope["subprotocols"])
        own: OwnSocket | None = scope.get("extensions", {}).get(OWN_MESSAGES)
        visit = _SocketVisit(self, request, send, own)
        await receive()  # websocket.connect
        self.sockets.add(visit)
        try:
            await self._websocket(request, visit, receive, location)
        finally:
            self.sockets.discard(visit)
            visit.over(location)

    async def _websocket(
        self, request: VisitorRequest, visit: _SocketVisit, receive: Receive, location: Location
    ) -> None:
        try:
            if self.relay.leaving:
                raise restarting()
            if self.addresses.over and request.caller:
                self.addresses.check(request.caller)
            if not request.target.isascii():
                raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
            workspace = self.relay.workspaces.get(location.workspace)
            gateway = workspace.gateway
            if location.models:
                models = AllModels(gateway, workspace.registry, location.base, self.held).socket(request)
                await models.admit()
                await visit.read(models.begin(visit), receive)
                return
            self._split(workspace, request, location)
            if request.raw_path.startswith(b"/.portico/"):
                raise Answer(404, "not_found", "There is nothing here.")
            admission = gateway.admit_now(request) or await gateway.admit(request)
            while True:
                forward = gateway.forward_socket(request, admission, visit, on_done=_nothing)
                if forward is not None:
                    break
                await gateway.ready(admission.service, request.caller)
        except Answer as answer:
            visit.answer(answer)
            return
        await visit.read(forward, receive)

    async def link(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A provider dials in. Who it is it says in HELLO; until then it has 5 s and 8 KiB."""
        await receive()  # websocket.connect
        if SUBPROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.http.response.start", "status": 400, "headers": _PLAIN})
            body = f"A link must offer the subprotocol {SUBPROTOCOL}.".encode()
            await send({"type": "websocket.http.response.body", "body": body})
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        client, _ = self.proxies.visitor(scope["client"], "http", headers)
        address = client[0] if client else ""
        transport = _LinkTransport(send, self.relay.counters, address, _origin(headers))
        own: OwnSocket | None = scope.get("extensions", {}).get(OWN_MESSAGES)
        if own is not None:
            transport.own = own
            transport.limit = own.hand_over(transport.received)
        self.relay.links.accept(transport, lambda hello: self.relay.workspaces.place(hello, address))
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                transport.ended(message.get("code", 1006), message.get("reason") or "")
                return
            data = message.get("bytes")
            if data is None:
                transport.close(1003, "a link carries binary messages")
            else:
                transport.received(data)

    def _request(self, scope: Scope, location: Location, kind: Kind) -> VisitorRequest:
        headers: Headers = scope["headers"]
        if kind is Kind.WEBSOCKET:
            headers = [(name.lower(), value) for name, value in headers]  # uvicorn gives them as they came
        raw_path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        client, scheme = self.proxies.visitor(scope["client"], scheme, headers)
        host = location.host
        return VisitorRequest(
            kind,
            scope.get("method", "GET"),
            scheme,
            host,
            scope["http_version"],
            raw_path + b"?" + query if query else raw_path,
            headers,
            client,
            server_of(host, scheme) if host else scope["server"],
            location.prefix,
            caller=self._caller(client, scope["client"]),
        )

    def count(self, status: int) -> None:
        requests = self.relay.counters.requests
        requests[status] = requests.get(status, 0) + 1

    def over(
        self, request: VisitorRequest, status: int, since: float, workspace: str, request_id: str, *, left: bool
    ) -> None:
        """A visit has ended: *left* by its visitor before the answer was whole, or as it should."""
        relay, client = self.relay, request.client
        if left:
            self.abandoned(request.caller)
        if relay.access is not None:
            path = request.target.partition(b"?")[0]
            relay.access.add(
                request.method,
                request.host,
                path,
                status,
                time.monotonic() - since,
                workspace,
                request.name,
                client[0] if client else "",
                request_id,
            )

    def abandoned(self, caller: str) -> None:
        """A visitor left before the answer was whole."""
        self.relay.counters.abandoned += 1
        if caller:
            self.addresses.abandoned(caller)

    def leave(self) -> None:
        """Take leave of those whose visit has no end: WebSockets are told to come again (1012, RFC 6455's registry)."""
        for visit in tuple(self.sockets):
            visit.leave()

    async def _form(self, receive: Receive) -> bytes | None:
        """A whole form; None if its visitor left before its end: a part of one is never acted on."""
        body = bytearray()
        while True:
            message = await self.in_time(receive)
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > _MOST_FORM:
                raise Answer(413, "too_large", "The form is too large.")
            if not message.get("more_body", False):
                return bytes(body)

    async def in_time(self, receive: Receive) -> Mapping[str, Any]:
        """The next piece of a body. Raises an `Answer` (408) if none comes."""
        try:
            async with asyncio.timeout(self.relay.config.body_timeout):
                return await receive()
        except TimeoutError:
            self.relay.counters.late += 1
            raise late_body() from None


# --- one HTTP exchange ------------------------------------------------------------------------------------------


class _Visit:
    """The responder of `portico.hub.exchange.HTTPForward`."""

    __slots__ = (
        "_began",
        "_complete",
        "_edge",
        "_no_body",
        "_on_cut",
        "_request_id",
        "_said",
        "_send",
        "_status",
        "expects",
        "request",
        "since",
    )

    def __init__(self, edge: Edge, request: VisitorRequest, send: Send, on_cut: Callable[[], None]) -> None:
        self._edge = edge
        self.request = request
        self._send = send
        self._on_cut = on_cut
        self._no_body = False
        self._said = False
        """The hub has answered in the app's place: what more the app says is not passed on."""
        self.since = time.monotonic()
        self._status = 0
        self._complete = False
        self._request_id = ""
        self._began: asyncio.Future[None] | None = None
        self.expects = _expects(request)
        """Whether the visitor waits for the word to send its body."""

    async def hold_back(self) -> None:
        """Give the app a while to answer before the visitor is told to send its body."""
        self._began = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._began,), timeout=_CONTINUE_AFTER)
        self.expects = False

    def respond(self, status: int, headers: Headers, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if status > _HIGHEST_STATUS:
            self._said = True
            return self.say(_unwritable(status))
        self._edge.count(status)
        self._status, self._complete = status, fin
        if self._edge.relay.leaving:
            headers.append((b"connection", b"close"))
        if self.expects:  # the body will not be asked for, and where the next request begins cannot be known
            headers.append((b"connection", b"close"))
            if self._began is not None and not self._began.done():
                self._began.set_result(None)
        if status in BODILESS:
            self._no_body = True
            body = b""
            # uvicorn would wait for the body that a 304 says it would have
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        length = has_date = False
        for name, _ in headers:
            if name == b"content-length":
                length = True
            elif name == b"date":
                has_date = True
        if fin and not length and not self._no_body:
            headers.append((b"content-length", b"%d" % len(body)))
        if not has_date and self._edge.relay.dates:
            headers.append((b"date", date()))
        return self._drive(
            self._both(
                {"type": "http.response.start", "status": status, "headers": headers},
                {"type": "http.response.body", "body": body, "more_body": not fin},
            )
        )

    async def _both(self, head: dict[str, Any], body: dict[str, Any]) -> None:
        await self._send(head)
        await self._send(body)

    def write(self, body: bytes, fin: bool) -> asyncio.Future[None] | None:
        if self._said:
            return None
        if self._no_body:
            body = b""
            if not fin:
                return None
        self._complete = fin
        return self._drive(self._write({"type": "http.response.body", "body": body, "more_body": not fin}))

    async def _write(self, message: dict[str, Any]) -> None:
        await self._send(message)

    def _drive(self, sending: Coroutine[Any, Any, None]) -> asyncio.Future[None] | None:
        try:
            return drive(sending)
        except Exception as error:  # noqa: BLE001 -- the visitor left, or the app broke its own Content-Length
            logger.debug("a response could not be written: %s", error)
            self._on_cut()
            return None

    def answer(self, answer: Answer) -> None:
        self.say(answer)

    def say(self, answer: Answer) -> asyncio.Future[None] | None:
        """As `answer`; a future that is returned says when it is written."""
        self._edge.relay.counters.answer(answer.code)
        headers, body = reply(answer, self.request)
        self._request_id = new_request_id()
        headers.append((b"x-request-id", self._request_id.encode()))
        return self.respond(answer.status, headers, body, True)

    def cut(self) -> None:
        if self._said:
            return
        self._complete = True  # not the visitor's doing
        self._on_cut()

    @property
    def started(self) -> bool:
        """Whether the head is out."""
        return self._status > 0

    def over(self, location: Location) -> None:
        """The visit has ended, one way or the other."""
        self._edge.over(
            self.request, self._status, self.since, location.workspace, self._request_id, left=not self._complete
        )


class _Reading:
    """A request's own task, which reads what its visitor sends, and waits for the visitor's end."""

    __slots__ = ("_edge", "_stopped", "_task")

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._task = asyncio.current_task()
        self._stopped = False

    def stop(self) -> None:
        """End the task before the response is whole: the server then breaks the connection."""
        if not self._stopped and self._task is not None:
            self._stopped = True
            self._task.cancel()

    def _is_stopped(self) -> bool:
        """After a cancelling: whether it was `stop`, and ends here."""
        if self._stopped and self._task is not None:
            self._task.uncancel()
            return True
        return False

    async def finish(self, written: asyncio.Future[None] | None) -> None:
        """Wait until an answer is written."""
        try:
            if written is not None:
                await written
        except asyncio.CancelledError:
            if not self._is_stopped():
                raise

    async def watch(self, forward: HTTPForward | ModelsExchange, receive: Receive) -> None:
        """Wait for the visitor's end, and tell the app; the end of the response is told as one (ASGI)."""
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            if not self._is_stopped():
                forward.visitor_left()
                raise
            return
        forward.visitor_left()

    async def upload(self, forward: HTTPForward | ModelsExchange, receive: Receive, visit: _Visit) -> None:
        """Pass the request's body on as it comes, no faster than the app takes it; then wait for the visitor's end."""
        pending: asyncio.Task[Mapping[str, Any]] | None = None
        try:
            if visit.expects:
                await visit.hold_back()
            while True:
                try:
                    if pending is None:
                        message = await self._edge.in_time(receive)
                    else:
                        waiting, pending = pending, None
                        message = await self._edge.in_time(lambda waiting=waiting: waiting)  # type: ignore[misc]
                except Answer as answer:
                    if not forward.uploading:
                        break  # nobody waits for the rest of it
                    forward.visitor_left()
                    if visit.started:
                        return
                    await self.finish(visit.say(answer))
                    return
                if message["type"] == "http.disconnect":
                    forward.visitor_left()
                    return
                body = message.get("body", b"")
                wait = forward.upload(body) if body else None
                if wait is not None and not wait.done():
                    # While the app holds the upload back, its visitor may leave.
                    pending = asyncio.ensure_future(_received(receive))
                    await asyncio.wait((wait, pending), return_when=asyncio.FIRST_COMPLETED)
                    if pending.done() and pending.result()["type"] == "http.disconnect":
                        continue
                    await wait
                if not message.get("more_body", False):
                    forward.upload_done()
                    break
            if pending is not None:
                await pending
        except asyncio.CancelledError:
            if pending is not None:
                pending.cancel()
            if not self._is_stopped():
                forward.visitor_left()
                raise
            return
        await self.watch(forward, receive)


async def _received(receive: Receive) -> Mapping[str, Any]:
    return await receive()


# --- one visitor's WebSocket ------------------------------------------------------------------------------------


class _SocketVisit:
    """The responder of `portico.hub.exchange.SocketForward`, and of `portico.hub.models.socket.ModelsSocket`."""

    def __init__(self, edge: Edge, request: VisitorRequest, send: Send, own: OwnSocket | None) -> None:
        self._edge = edge
        self.request = request
        self._send = send
        self._own = own
        self._task = asyncio.current_task()
        self._cut = False
        self.since = time.monotonic()
        self._status = 0
        self._request_id = ""
        edge.relay.counters.sockets_open += 1
        self._sending: asyncio.Future[None] | None = None
        self._forward: VisitorSocket | None = None

    async def read(self, forward: VisitorSocket, receive: Receive) -> None:
        """Pass on what the visitor sends, until it or the app closes."""
        self._forward = forward
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.receive":
                    text = message.get("text")
                    data = message.get("bytes") if text is None else text.encode()
                    wait = forward.visitor_message(data or b"", text is not None)
                    if wait is not None:
                        await wait
                else:
                    code, reason = message.get("code", 1006), message.get("reason")
                    if code == 1005 and reason is None:
                        code = 1006  # uvicorn's word for a connection that ended without a close frame
                    forward.visitor_closed(code, reason or "")
                    return
        except asyncio.CancelledError:
            forward.visitor_closed(1006, "")
            if not self._cut or self._task is None:
                raise
            self._task.uncancel()

    def accept(self, subprotocol: str, headers: Headers) -> None:
        if subprotocol and subprotocol not in self.request.subprotocols:
            logger.warning("an app chose the subprotocol %.100r, which the visitor did not offer", subprotocol)
            self.answer(Answer(500, "app_error", "The app chose a subprotocol that was not offered."))
            if self._forward is not None:
                self._forward.visitor_closed(1006, "")
            return
        self._edge.count(101)
        self._edge.relay.counters.sockets += 1
        self._status = 101
        if self._edge.relay.dates and not any(name == b"date" for name, _ in headers):
            headers.append((b"date", date()))
        self._drive({"type": "websocket.accept", "subprotocol": subprotocol or None, "headers": headers})

    def deny(self, status: int, headers: Headers, body: bytes) -> None:
        if status > _HIGHEST_STATUS:
            self.answer(_unwritable(status))
            return
        self._edge.count(status)
        self._status = status
        kept = [pair for pair in headers if pair[0] != b"content-length"]  # the server says the length by itself
        self._drive({"type": "websocket.http.response.start", "status": status, "headers": kept})
        self._drive({"type": "websocket.http.response.body", "body": body})

    def answer(self, answer: Answer) -> None:
        self._edge.relay.counters.answer(answer.code)
        headers, body = answer.render(html=False, openai=b"/v1/" in self.request.raw_path)
        self._request_id = new_request_id()
        headers.append((b"x-request-id", self._request_id.encode()))
        self.deny(answer.status, headers, body)

    def message(self, data: bytes, text: bool) -> asyncio.Future[None] | None:
        before = self._sending
        if (
            self._own is not None
            and (before is None or before.done())
            and (not text or _is_utf8(data))
            and self._own.say(data, text=text)
        ):
            return None
        if text:
            return self._drive({"type": "websocket.send", "text": data.decode("utf-8", "replace")})
        return self._drive({"type": "websocket.send", "bytes": data})

    def close(self, code: int, reason: str) -> None:
        if code == 1005:
            self._drive({"type": "websocket.close", "code": 1000})
        elif _may_be_sent(code):
            self._drive(
                {"type": "websocket.close", "code": code, "reason": reason.encode()[:123].decode("utf-8", "ignore")}
            )
        else:
            self._drive({"type": "websocket.close", "code": 1011, "reason": "the app closed with an invalid code"})

    def cut(self) -> None:
        if not self._cut and self._task is not None:
            self._cut = True
            self._task.cancel()

    def leave(self) -> None:
        """The relay stops: the visitor is told to come again, and the app that it went."""
        if self._status == 101:
            self.close(1012, "the server is restarting")  # the app hears of it as of a visitor's own closing
        elif self._status == 0 and self._forward is not None:
            self.answer(restarting())
            self._forward.visitor_closed(1006, "")

    def over(self, location: Location) -> None:
        """The visit has ended, one way or the other."""
        self._edge.relay.counters.sockets_open -= 1
        self._edge.over(
            self.request, self._status, self.since, location.workspace, self._request_id, left=not self._status
        )

    def _drive(self, message: dict[str, Any]) -> asyncio.Future[None] | None:
        before = self._sending
        if before is not None and not before.done():
            self._sending = asyncio.ensure_future(self._after(before, message))
            return self._sending
        try:
            self._sending = drive(self._one(message))
        except Exception as error:  # noqa: BLE001 -- the visitor left
            logger.debug("a WebSocket message could not be written: %s", error)
            return None
        return self._sending

    async def _one(self, message: dict[str, Any]) -> None:
        await self._send(message)

    async def _after(self, before: asyncio.Future[None], message: dict[str, Any]) -> None:
        await asyncio.wait((before,))
        await self._send(message)


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _may_be_sent(code: int) -> bool:
    """Whether a close frame may hold *code* (RFC 6455 §7.4)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


# --- one provider's link ----------------------------------------------------------------------------------------


def _origin(headers: Headers) -> str:
    """Of the web page whose browser opens a WebSocket: it always says (RFC 6455 §4.1)."""
    return next((value.decode("latin-1") for name, value in headers if name == b"origin"), "")


class _LinkTransport:
    """A `portico.transports.transport.Transport` over a provider's WebSocket."""

    def __init__(self, send: Send, counters: Counters, address: str, origin: str = "") -> None:
        self._send = send
        self._counters = counters
        self.address = address
        """The provider's, for lists."""
        self.origin = origin
        """Of the web page that it is, if it is one: the same."""
        self.own: OwnSocket | None = None
        """A way past ASGI, where there is one."""
        self.limit: Callable[[int], None] | None = None
        """Tells the server how long a message may be, where it can be told."""
        self._receiver: LinkReceiver | None = None
        self._sending: asyncio.Task[None] | None = None
        self._ended: str | None = None
        self._closing = False

    @property
    def writable(self) -> bool:
        return self._sending is None

    def start(self, receiver: LinkReceiver) -> None:
        self._receiver = receiver

    def allow(self, size: int) -> None:
        if self.limit is not None:
            self.limit(size)

    def send(self, message: bytes) -> None:
        self._counters.to_providers += len(message)
        own = self.own
        if own is not None and self._sending is None and not self._closing and self._ended is None and own.say(message):
            return
        self._drive({"type": "websocket.send", "bytes": message})

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._closing:
            self._drive({"type": "websocket.close", "code": code, "reason": reason[:100]})
            self._closing = True

    def received(self, data: bytes) -> None:
        self._counters.from_providers += len(data)
        if self._receiver is not None and not self._closing:
            self._receiver.message_received(data)

    def ended(self, code: int, reason: str) -> None:
        self._ended = f"the provider's end closed (code {code}{': ' + foreign.text(reason) if reason else ''})"
        if self._receiver is not None:
            self._receiver.transport_closed(self._ended)

    def _drive(self, message: dict[str, Any]) -> None:
        if self._closing or self._ended is not None:
            return
        if self._sending is not None:
            sending = asyncio.get_running_loop().create_task(self._after(self._sending, message))
        else:
            try:
                task = drive(self._one(message))
            except Exception as error:  # noqa: BLE001 -- the provider is gone; its end is told in a moment
                logger.debug("a link could not be written to: %s", error)
                return
            if task is None:
                return
            sending = task
        self._sending = sending
        sending.add_done_callback(self._sent)

    async def _one(self, message: dict[str, Any]) -> None:
        await self._send(message)

    async def _after(self, before: asyncio.Task[None], message: dict[str, Any]) -> None:
        await asyncio.wait((before,))
        await self._send(message)

    def _sent(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # seen; the connection's end is told by receive
        if self._sending is task:
            self._sending = None
            if self._receiver is not None and self._ended is None and not self._closing:
                self._receiver.transport_writable()


_PLAIN = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]


def _has_body(headers: Headers) -> bool:
    for name, value in headers:
        if name == b"content-length":
            return value != b"0"
        if name == b"transfer-encoding":
            return True
    return False


def _expects(request: VisitorRequest) -> bool:
    return request.http_version == "1.1" and any(
        name == b"expect" and value.lower() == b"100-continue" for name, value in request.headers
    )


def _unwritable(status: int) -> Answer:
    return Answer(502, "bad_status", f"The app answered with the status {status}, which this relay cannot write.")


def _nothing() -> None: ...
