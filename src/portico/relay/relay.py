"""A relay, put together: its accounts, its workspaces, its pages and its edge, as one ASGI app."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from portico.hub.access import User
from portico.hub.answers import Answer, wants_page
from portico.hub.gateway import VisitorRequest
from portico.hub.links import Links
from portico.hub.workspace import Workspace
from portico.relay.config import RelayConfig
from portico.relay.control import ControlApp
from portico.relay.edge.asgi_link import serve_link
from portico.relay.edge.edge import Edge
from portico.relay.edge.framing import Malformed, read_scope
from portico.relay.edge.own_hosts import not_here
from portico.relay.edge.routes import ELSEWHERE, Location
from portico.relay.operate.log import AccessLog
from portico.relay.operate.metrics import Counters
from portico.relay.operate.own_pages import OwnPages
from portico.relay.people.accounts import Accounts
from portico.relay.people.doorway import Doorway, SignedIn
from portico.relay.people.identity import RelayIdentities
from portico.relay.people.sign_in import authorize_url
from portico.relay.people.tokens import TokenRing
from portico.relay.store import RelayStore
from portico.relay.workspaces import Workspaces
from portico.types import Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

_LOOK = 0.05  # seconds between looks at what is under way while the relay drains
_KEEP_UP = 2.0  # seconds: how soon what another process wrote (a revocation) is known here

_LINK = b"/portico/link"


class Relay:
    """The ASGI app. It lives from ``lifespan.startup`` to ``lifespan.shutdown``, or from `start` to `stop`."""

    config: RelayConfig
    store: RelayStore
    accounts: Accounts
    tokens: TokenRing
    doorway: Doorway
    workspaces: Workspaces
    control: ControlApp
    edge: Edge

    def __init__(self, config: RelayConfig) -> None:
        self.config = config
        self.ready = False
        """Whether new visitors and providers should be sent here (``/readyz``)."""
        self.leaving = False
        """Whether it drains, and will stop."""
        self.counters = Counters()
        self.access: AccessLog | None = None
        """The access log; None where an ASGI server keeps one, or nobody reads it."""
        self.dates = False
        """Whether Date headers are left to the relay; an ASGI server writes them by itself (RFC 9110 §6.6.1)."""
        self.framed = False
        """Whether the server holds requests to `relay.edge.framing`; with another ASGI server the relay does."""
        self._upkeep: asyncio.Task[None] | None = None

    @property
    def links(self) -> Links:
        return self.workspaces.links

    # --- from start to end --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, hold the names again that were held, and begin."""
        config = self.config
        await asyncio.to_thread(self._read)
        secret = await asyncio.to_thread(self.store.secret)
        self.doorway = Doorway(secret, redeem=self._redeem, sign_in_url=self._sign_in_url)
        cookies = frozenset({config.session_cookie, "portico_session", "portico_form", "__Host-portico_form"})
        own_tokens = tuple(token.encode() for token in (config.admin_token, config.metrics_token) if token)
        self.workspaces = Workspaces(
            config,
            self.store,
            self.tokens,
            lambda name: RelayIdentities(name, self.accounts, self.doorway, cookies, own_tokens),
        )
        self.control = ControlApp(config, self.accounts, self.tokens, self._open_workspace, secret)
        self.edge = Edge(self)
        self._own_pages = OwnPages(self)
        await self.workspaces.restore()
        self._upkeep = asyncio.get_running_loop().create_task(self._keep_up())
        self.ready = True

    def _read(self) -> None:
        config = self.config
        self.store = RelayStore(config.database if config.data_dir == ":memory:" else Path(config.database))
        self.accounts = Accounts(self.store, session_lifetime=config.session_lifetime)
        self.tokens = TokenRing(self.store)

    async def stop(self) -> None:
        """Close every link, and write what is not written."""
        self.ready, self.leaving = False, True
        if self._upkeep is not None:
            self._upkeep.cancel()
        await self.workspaces.stop()
        await asyncio.to_thread(self.store.close)
        if self.access is not None:
            self.access.flush()

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_UP)
            for work in (self.accounts.synchronize, self.workspaces.keep_up):
                try:
                    await work()
                except Exception:  # a disk that is full now may not be in two seconds
                    logger.exception("the relay's upkeep failed")

    async def drain(self) -> None:
        """Take nothing new, and let what is under way end: providers are told to dial another relay, or this again.

        Requests have `RelayConfig.drain_timeout` to end by themselves, and are cut then; WebSockets, which have no end,
        are told to come again (1012). Whoever asks meanwhile is answered 503, with Retry-After.
        """
        self.ready, self.leaving = False, True
        logger.info("draining: %d links, %d requests under way", self.links.count, self.links.streams)
        await self.workspaces.remember()
        for workspace in self.workspaces.all():
            workspace.gateway.leave()
        self.links.drain(self.config.drain_jitter)
        self.edge.leave()
        deadline = asyncio.get_running_loop().time() + self.config.drain_timeout
        while self.links.streams and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 -- a look is cheap
            await asyncio.sleep(_LOOK)
        if self.links.streams:
            logger.warning("%d requests have not ended in time, and are cut", self.links.streams)
        self.links.close(retry_jitter=self.config.drain_jitter)

    # --- ASGI ---------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if not self.framed:
                try:
                    if not read_scope(scope).keep_alive:
                        send = _closing(send)
                except Malformed as error:
                    await self._refuse(Answer(400, "bad_request", str(error)), scope, send)
                    return
            location = self.edge.places.find(scope["headers"], scope["raw_path"], scope["server"])
            if location is ELSEWHERE:
                await self._refuse(not_here(), scope, send)
            elif location is not None:
                await self.edge.http(scope, receive, send, location)
            else:
                await self.own(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)

    async def own(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is the relay's own: under ``/portico/``, and the pages that machines ask."""
        await self._own_pages(scope, receive, send)

    async def _refuse(self, answer: Answer, scope: Scope, send: Send) -> None:
        """Answer a request that could be read in two ways, or is of another host, and close its connection."""
        self.counters.invalid += 1
        self.counters.answer(answer.code)
        self.edge.count(answer.status)
        headers, body = answer.render(html=wants_page(scope["headers"]), openai=False)
        headers.append((b"connection", b"close"))
        if self.access is not None:
            host = next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"), "")
            client, _ = self.edge.proxies.visitor(scope["client"], "http", scope["headers"])
            address = client[0] if client else ""
            self.access.add(
                scope.get("method", "GET"), host, scope["raw_path"], answer.status, 0.0, "", "", address, ""
            )
        kind = "http" if scope["type"] == "http" else "websocket.http"
        await send({"type": f"{kind}.response.start", "status": answer.status, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.framed:
            try:
                read_scope(scope)
            except Malformed as error:
                await receive()
                await self._refuse(Answer(400, "bad_request", str(error)), scope, send)
                return
        location: Location | None = self.edge.places.find(scope["headers"], scope["raw_path"], scope["server"])
        if location is ELSEWHERE:
            await receive()
            await self._refuse(not_here(), scope, send)
        elif location is not None:
            await self.edge.websocket(scope, receive, send, location)
        elif scope["raw_path"] == _LINK:
            await serve_link(self, self.edge.proxies, scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:  # the server says it, and ends
            logger.exception("the relay could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    # --- what its rooms ask of each other -----------------------------------------------------------------------

    async def _open_workspace(self, name: str) -> Workspace | None:
        return await self.workspaces.open(name)

    async def _redeem(self, code: str, place: str) -> SignedIn | None:
        scheme = "https" if self.config.secure else "http"
        found = self.control.codes.redeem(code, f"{scheme}://{place}/")
        if found is None:
            return None
        account = found.account
        return SignedIn(User(account.id, account.id, email=account.email), found.session)

    def _sign_in_url(self, workspace: str, request: VisitorRequest, state: str) -> str:
        return authorize_url(self.config, workspace, request.name, state)


def _closing(send: Send) -> Send:
    """*send*, for a response after which the server closes the connection."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return send_and_close
