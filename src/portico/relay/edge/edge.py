"""Where visitors' requests and WebSockets come in, from any ASGI server or from the relay's own.

Here a request is read into a `VisitorRequest`, and goes through its workspace's gate; a request of the relay's own
server that needs no waiting goes so without ASGI (`RelayEdge.read`, `RelayEdge.begin`). How it is answered is
`portico.relay.edge.asgi_http`'s, `portico.relay.edge.asgi_socket`'s, or that server's.
"""

from __future__ import annotations

from collections.abc import Callable

from portico.hub.answers import Answer, restarting
from portico.hub.date_and_server import server_of
from portico.hub.firewall.heads import SMALL
from portico.hub.forward import Admission
from portico.hub.held_bodies import HeldBodies
from portico.hub.http_forward import HTTPForward
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.hub.models.socket import ModelsSocket
from portico.hub.request import Target, VisitorRequest, parse
from portico.hub.socket_forward import SocketForward
from portico.hub.tools.base import AllTools
from portico.hub.tools.exchange import ToolsExchange
from portico.hub.tools.no_oauth import asks, no_oauth
from portico.hub.unfinished import Unfinished
from portico.hub.visits import COMPLETE, LEFT, Visit
from portico.networks import network_of
from portico.protocol import Kind
from portico.relay.edge.addresses import Addresses
from portico.relay.edge.asgi_http import ASGIResponder, RequestReading, has_body
from portico.relay.edge.asgi_socket import ASGISocket
from portico.relay.edge.past_asgi import (
    LET_IN,
    OWN_MESSAGES,
    OwnConnection,
    OwnLetIn,
    OwnRequest,
    OwnResponder,
    OwnSocket,
)
from portico.relay.edge.proxies import TrustedProxies
from portico.relay.edge.routes import Location, Routes
from portico.relay.edge.visit_ends import VisitEnds
from portico.relay.state import RelayState
from portico.types import Headers, Receive, Scope, Send


class RelayEdge:
    """What the ASGI app calls for everything that is not the relay's own page."""

    def __init__(self, state: RelayState) -> None:
        self.state = state
        self.routes = Routes(state.config)
        self.proxies = TrustedProxies(state.config.forwarded_allow_ips)
        self.addresses = Addresses()
        self._ends = VisitEnds(state, self.addresses)
        self.held = HeldBodies()
        """What is held of bodies that have not named their model, in all workspaces."""
        self.unfinished = Unfinished()
        self.sockets: set[ASGISocket] = set()
        """Visitors' WebSockets that are under way."""

    def _caller(self, client: tuple[str, int] | None, peer: tuple[str, int] | None) -> str:
        """Whom a request counts for (`VisitorRequest.caller`). A proxy that names no visitor (*client* is *peer*) is
        nobody, as all its visitors would share one share."""
        if client is None or (client is peer and self.proxies.is_trusted(client[0])):
            return ""
        return network_of(client[0])

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def http(self, scope: Scope, receive: Receive, send: Send, location: Location) -> None:
        """One request to a service, to all models or tools of a workspace, or to ``/.portico/`` of a service."""
        let_in: OwnLetIn | None = scope.get("extensions", {}).get(LET_IN)
        if let_in is None:
            request = self._request(scope, location, Kind.HTTP)
            let_in = Visit(self.state.visits, request, location.workspace), None
        visit, admission = let_in
        reading = RequestReading(self.state.config.body_timeout, self.state.counters)
        responder = ASGIResponder(self.state, visit, send, reading.stop)
        try:
            await self._http(visit, admission, responder, reading, receive, location)
        finally:
            visit.end(COMPLETE if responder.complete else LEFT)

    async def _http(
        self,
        visit: Visit,
        admission: Admission | None,
        responder: ASGIResponder,
        reading: RequestReading,
        receive: Receive,
        location: Location,
    ) -> None:
        request = visit.request
        fin = not has_body(request.headers)
        try:
            if self.addresses.over and request.caller:
                self.addresses.check(request.caller)
            if not request.target.isascii():
                raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
            workspace = self.state.workspaces.get(location.workspace)
            if location.all_services:
                exchange: ModelsExchange | ToolsExchange
                if location.models:
                    models = AllModels(workspace.gateway, workspace.registry, location.base, self.held)
                    exchange = ModelsExchange(models, visit, responder, fin=fin)
                else:
                    exchange = ToolsExchange(AllTools(workspace.tools, location.base), visit, responder, fin=fin)
                if await exchange.start():
                    responder.expects = False
                    await reading.upload(exchange, receive, responder)
                else:
                    await reading.watch(exchange, receive)
                return
            if location.own_host and not location.service and asks(visit.path.decode("ascii")):
                await reading.finish(no_oauth(visit, responder))
                return
            _find(visit, location)
            if visit.target.raw_path.startswith(b"/.portico/"):
                form = await reading.form(receive)
                if form is not None:
                    await reading.finish(responder.say(await self.state.doorway.handle(workspace, visit, form)))
                return
            forward = HTTPForward(visit, responder, fin=fin, admission=admission)
            if not workspace.gateway.open_now(forward):
                await workspace.gateway.open(forward)
        except Answer as answer:
            await reading.finish(responder.say(answer))
            return
        if fin:
            await reading.watch(forward, receive)
        else:
            await reading.upload(forward, receive, responder)

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
        """A request without a body, to be begun (`begin`). None: `http` must be called.

        *target* is the path and the query as they came, all of them visible ASCII; *fields* is ``dict(headers)``; the
        head has *size* bytes. All that depends on more than that, the connection and the settings, is for `begin`.
        """
        host = fields.get(b"host", b"").decode("latin-1")
        location = self.routes.locate(host, target.partition(b"?")[0], connection.server)
        if location is None or location.all_services or not location.host:
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
        responder.visit = visit = Visit(self.state.visits, request, location.workspace)
        workspace = self.state.workspaces.get(location.workspace)
        try:
            if self.addresses.over and request.caller:
                self.addresses.check(request.caller)
            _find(visit, location)
            if visit.target.raw_path.startswith(b"/.portico/"):
                return None
            forward = HTTPForward(visit, responder, fin=True)
            if workspace.gateway.open_now(forward):
                return forward.visitor_left
            if forward.admission is not None:
                responder.let_in = visit, forward.admission
            return None
        except Answer as answer:
            responder.answer(answer)
            return _nothing

    # --- WebSockets ---------------------------------------------------------------------------------------------

    async def websocket(self, scope: Scope, receive: Receive, send: Send, location: Location) -> None:
        """A visitor's WebSocket."""
        request = self._request(scope, location, Kind.WEBSOCKET)
        own: OwnSocket | None = scope.get("extensions", {}).get(OWN_MESSAGES)
        visit = Visit(self.state.visits, request, location.workspace)
        socket = ASGISocket(self.state, visit, send, own)
        try:
            await receive()  # websocket.connect
            self.sockets.add(socket)
            await self._websocket(visit, socket, receive, location)
        finally:
            self.sockets.discard(socket)
            visit.end(LEFT)

    async def _websocket(self, visit: Visit, socket: ASGISocket, receive: Receive, location: Location) -> None:
        request = visit.request
        try:
            if self.state.leaving:
                raise restarting()
            if self.addresses.over and request.caller:
                self.addresses.check(request.caller)
            if not request.target.isascii():
                raise Answer(400, "bad_target", "The request's target must be percent-encoded.")
            workspace = self.state.workspaces.get(location.workspace)
            gateway = workspace.gateway
            if location.tools:
                raise Answer(404, "not_found", "Tools are called by HTTP, and not by WebSocket.")
            if location.models:
                models = AllModels(gateway, workspace.registry, location.base, self.held)
                models_socket = ModelsSocket(models, visit)
                await models_socket.admit()
                await socket.read(models_socket.begin(socket), receive)
                return
            _find(visit, location)
            if visit.target.raw_path.startswith(b"/.portico/"):
                raise Answer(404, "not_found", "There is nothing here.")
            forward = SocketForward(visit, socket)
            if not gateway.open_now(forward):
                await gateway.open(forward)
        except Answer as answer:
            socket.answer(answer)
            return
        await socket.read(forward, receive)

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
            tuple(scope["subprotocols"]) if kind is Kind.WEBSOCKET else (),
            self._caller(client, scope["client"]),
        )

    def leave(self) -> None:
        """Take leave of those whose visit has no end: WebSockets are told to come again (1012, RFC 6455's registry).

        Streams that tell of changes of tools end.
        """
        for socket in tuple(self.sockets):
            socket.leave()
        for workspace in self.state.workspaces.all():
            workspace.tools.leave()


def _find(visit: Visit, location: Location) -> None:
    """Find the service's name and the path below it. Raises an `Answer`."""
    if location.own_host:
        path, _, query = visit.request.target.partition(b"?")
        visit.target = Target(location.service, path, query, "")
    else:
        visit.target = parse(visit.request)


def _nothing() -> None: ...
