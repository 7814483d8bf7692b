"""A relay, put together: its accounts, its workspaces, its pages and its edge, as one ASGI app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from portico.hub.access import KnownUser
from portico.hub.answers import Answer, wants_page
from portico.hub.visits import Visit, next_number
from portico.hub.workspace import Workspace
from portico.relay.config import RelayConfig
from portico.relay.control import ControlApp
from portico.relay.edge.asgi_link import serve_link
from portico.relay.edge.edge import RelayEdge
from portico.relay.edge.framing import Malformed, read_scope
from portico.relay.edge.own_hosts import not_here
from portico.relay.edge.routes import ELSEWHERE, Location
from portico.relay.operate.own_pages import OwnPages
from portico.relay.people.accounts import Accounts
from portico.relay.people.doorway import Doorway, SignedIn
from portico.relay.people.identity import RelayIdentities
from portico.relay.people.sign_in import authorize_url
from portico.relay.people.tokens import TokenRing
from portico.relay.state import RelayState
from portico.relay.store import RelayStore
from portico.relay.workspaces import Workspaces
from portico.types import Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

_LOOK = 0.05  # seconds between looks at what is under way while the relay drains
_KEEP_UP = 2.0  # seconds: how soon what another process wrote (a revocation) is known here

_LINK = b"/portico/link"


class Relay:
    """The ASGI app. It lives from ``lifespan.startup`` to ``lifespan.shutdown``, or from `start` to `stop`."""

    def __init__(self, config: RelayConfig) -> None:
        self.state = RelayState(config)
        self.edge = RelayEdge(self.state)
        self._upkeep: asyncio.Task[None] | None = None

    # --- from start to end --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, hold the names again that were held, and begin."""
        state, config = self.state, self.state.config
        await asyncio.to_thread(self._read)
        secret = await asyncio.to_thread(state.store.secret)
        state.doorway = Doorway(secret, redeem=self._redeem, sign_in_url=self._sign_in_url)
        cookies = frozenset({config.session_cookie, "portico_session", "portico_form", "__Host-portico_form"})
        own_tokens = tuple(token.encode() for token in (config.admin_token, config.metrics_token) if token)
        state.workspaces = Workspaces(
            config,
            state.store,
            state.tokens,
            lambda name: RelayIdentities(name, state.accounts, state.doorway, cookies, own_tokens),
            state.visits,
        )
        self.control = ControlApp(config, state.accounts, state.tokens, self._open_workspace, secret)
        self._own_pages = OwnPages(state, self.control, self.edge.proxies.visitor)
        await state.workspaces.restore()
        self._upkeep = asyncio.get_running_loop().create_task(self._keep_up())
        state.ready = True

    def _read(self) -> None:
        state, config = self.state, self.state.config
        state.store = RelayStore(config.database if config.data_dir == ":memory:" else Path(config.database))
        state.accounts = Accounts(state.store, session_lifetime=config.session_lifetime)
        state.tokens = TokenRing(state.store)

    async def stop(self) -> None:
        """Close every link, and write what is not written."""
        state = self.state
        state.ready, state.leaving = False, True
        if self._upkeep is not None:
            self._upkeep.cancel()
        await state.workspaces.stop()
        await asyncio.to_thread(state.store.close)
        if state.access is not None:
            state.access.flush()

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_UP)
            for work in (self.state.accounts.synchronize, self.state.workspaces.keep_up):
                try:
                    await work()
                except Exception:  # a disk that is full now may not be in two seconds
                    logger.exception("the relay's upkeep failed")

    async def drain(self) -> None:
        """Take nothing new, and let what is under way end: providers are told to dial another relay, or this again.

        Requests have `RelayConfig.drain_timeout` to end by themselves, and are cut then; WebSockets, which have no end,
        are told to come again (1012). Whoever asks meanwhile is answered 503, with Retry-After.
        """
        state, links, config = self.state, self.state.links, self.state.config
        state.ready, state.leaving = False, True
        logger.info("draining: %d links, %d requests under way", links.count, links.streams)
        await state.workspaces.remember()
        for workspace in state.workspaces.all():
            workspace.gateway.leave()
        links.drain(config.drain_jitter)
        self.edge.leave()
        deadline = asyncio.get_running_loop().time() + config.drain_timeout
        while links.streams and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 -- a look is cheap
            await asyncio.sleep(_LOOK)
        if links.streams:
            logger.warning("%d requests have not ended in time, and are cut", links.streams)
        links.close(retry_jitter=config.drain_jitter)

    # --- ASGI ---------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if not self.state.framed:
                try:
                    if not read_scope(scope).keep_alive:
                        send = _closing(send)
                except Malformed as error:
                    await self._refuse(Answer(400, "bad_request", str(error)), scope, send)
                    return
            location = self.edge.routes.find(scope["headers"], scope["raw_path"], scope["server"])
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
        access = self.state.access
        self.state.counters.invalid += 1
        self.state.visits.refused(answer)
        headers, body = answer.render(html=wants_page(scope["headers"]), openai=False)
        headers.append((b"connection", b"close"))
        if access is not None:
            host = next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"), "")
            client, _ = self.edge.proxies.visitor(scope["client"], "http", scope["headers"])
            address = client[0] if client else ""
            access.add(
                scope.get("method", "GET"), host, scope["raw_path"], answer.status, 0.0, "", "", address, next_number()
            )
        kind = "http" if scope["type"] == "http" else "websocket.http"
        await send({"type": f"{kind}.response.start", "status": answer.status, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.state.framed:
            try:
                read_scope(scope)
            except Malformed as error:
                await receive()
                await self._refuse(Answer(400, "bad_request", str(error)), scope, send)
                return
        location: Location | None = self.edge.routes.find(scope["headers"], scope["raw_path"], scope["server"])
        if location is ELSEWHERE:
            await receive()
            await self._refuse(not_here(), scope, send)
        elif location is not None:
            await self.edge.websocket(scope, receive, send, location)
        elif scope["raw_path"] == _LINK:
            await serve_link(self.state, self.edge.proxies, scope, receive, send)
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
        return await self.state.workspaces.open(name)

    async def _redeem(self, code: str, place: str) -> SignedIn | None:
        scheme = "https" if self.state.config.secure else "http"
        found = self.control.codes.redeem(code, f"{scheme}://{place}/")
        if found is None:
            return None
        account = found.account
        return SignedIn(KnownUser(account.id, account.id, email=account.email), found.session)

    def _sign_in_url(self, workspace: str, visit: Visit, state: str) -> str:
        return authorize_url(self.state.config, workspace, visit.service, state)


def create_app(
    config: RelayConfig | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    config_file: str | Path | None = None,
) -> Relay:
    """The ASGI app of a relay with *config*, or with what flags, the environment and a TOML file say.

    Any ASGI server runs it (``uvicorn portico.relay:create_app --factory``); ``portico relay`` runs it with deadlines,
    and faster. Raises `portico.errors.InvalidOption`.
    """
    return Relay(config or RelayConfig.load(flags, toml_path=config_file))


def _closing(send: Send) -> Send:
    """*send*, for a response after which the server closes the connection."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return send_and_close
