"""The workspaces of a relay, each with its own services, keys and gate: made when they are first needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from portico.errors import Refused
from portico.hub.conditions import Enforcer
from portico.hub.control import Control
from portico.hub.gateway import Gateway, Identities
from portico.hub.keys import InvalidKey, KeyRing, MemoryKeyStore
from portico.hub.links import Links, Place
from portico.hub.registry import Principal, Registry
from portico.hub.shares import network_of
from portico.protocol.events import Hello
from portico.relay.accounts import is_anonymous
from portico.relay.anonymous import AnonymousWorkspaces
from portico.relay.config import ANONYMOUS, RelayConfig
from portico.relay.held_names import HeldNames
from portico.relay.store import RelayStore
from portico.relay.tokens import Grant, TokenRing

logger = logging.getLogger(__name__)

_REMEMBER_EVERY = 1800.0  # seconds: so that a relay that crashed knows which names were live
_HOLD_ANONYMOUS = 600.0  # seconds: nobody can sign in to take such a name up again later


class Workspace:
    """One tenant: what it serves, who may see it, and how it is managed."""

    def __init__(
        self, name: str, config: RelayConfig, links: Links, keys: KeyRing, identities: Identities, *, anonymous: bool
    ) -> None:
        self.name = name
        self.anonymous = anonymous
        self.registry = Registry(config.hub)
        self.registry.interstitial = anonymous
        self.keys = keys
        self.gateway = Gateway(config.hub, self.registry, keys, identities, Enforcer(name))
        self.control = Control(
            config.hub, self.registry, links, keys, lambda service: config.service_url(name, service)
        )


IdentitiesOf = Callable[[str], Identities]
"""From a workspace's name to who its visitors may be."""


class Workspaces:
    """All of them. Those that nobody has asked for since the start cost nothing."""

    def __init__(self, config: RelayConfig, store: RelayStore, tokens: TokenRing, identities_of: IdentitiesOf) -> None:
        """Reads the store, so it blocks."""
        self._config = config
        self._store = store
        self._tokens = tokens
        self._identities_of = identities_of
        self.links = Links(config.hub, authenticate=self.place, kernel_lives=_no_kernels)
        self._open: dict[str, Workspace] = {}
        self._opening = asyncio.Lock()
        self._anonymous = AnonymousWorkspaces(config, store, tokens, is_idle=self._is_idle)
        self._names = HeldNames(store)
        self._remembered = time.time()
        self._nobodys = self._make("", KeyRing(MemoryKeyStore()))
        self._stop_listening = tokens.listen(self._revoked)

    # --- finding ------------------------------------------------------------------------------------------------

    def get(self, name: str) -> Workspace:
        """The workspace of that name for a visitor; an empty one, the same for all, if it serves nothing."""
        return self._open.get(name, self._nobodys)

    def all(self) -> list[Workspace]:
        """Those that were asked for since the start."""
        return list(self._open.values())

    async def open(self, name: str) -> Workspace:
        """The workspace of that name, which the caller knows to exist; its keys are read at the first call."""
        found = self._open.get(name)
        if found is None:
            async with self._opening:
                found = self._open.get(name)
                if found is None:
                    keys = await asyncio.to_thread(KeyRing, self._store.key_store(name), name)
                    found = self._open[name] = self._make(name, keys)
                    found.registry.listen(lambda what, service: self._changed(name, what, service))
        return found

    def _make(self, name: str, keys: KeyRing) -> Workspace:
        anonymous = name.startswith(ANONYMOUS)
        return Workspace(name, self._config, self.links, keys, self._identities_of(name), anonymous=anonymous)

    # --- providers ----------------------------------------------------------------------------------------------

    async def place(self, hello: Hello, address: str = "") -> Place:
        """Who says HELLO, by its token, and in which workspace. *address* is its own. Raises `Refused`."""
        wanted = hello.info.get("workspace", "")
        token = hello.token
        if not token:
            token, grant = await self._anonymous.make(network_of(address))
        else:
            try:
                grant = await self._tokens.authenticate(token)
            except InvalidKey as error:
                raise Refused(f"{error}: ask for a new one, or sign in (portico login)") from None
            if wanted and wanted != grant.workspace:
                raise Refused(f"this token is for the workspace {grant.workspace!r}, not for {str(wanted)[:30]!r}")
        place = await self._place_of(grant, token if not hello.token else "")
        if is_anonymous(grant.workspace):
            self._anonymous.came_back(grant.workspace, network_of(address))
        return place

    async def _place_of(self, grant: Grant, token: str) -> Place:
        name, config = grant.workspace, self._config
        workspace = await self.open(name)
        info: dict[str, object] = {
            "workspace": name,
            "public_base_url": config.base_url,
            "user": {
                "id": grant.user_id,
                "email": "",
                "is_anonymous": workspace.anonymous,
                "scopes": list(grant.scopes),
            },
        }
        if token:
            info["token"] = token  # so that it finds back, and may make keys
        principal = grant.principal()
        return Place(
            principal=Principal(
                id=principal.id,
                token_id=grant.token_id,
                publishes=principal.publishes,
                manages=principal.manages,
                mints=principal.mints,
            ),
            registry=workspace.registry,
            url_of=lambda service: config.service_url(name, service),
            base_url=config.base_url + "/",
            hold=_HOLD_ANONYMOUS if workspace.anonymous else config.hub.hold_name,
            holds_goodbyes=True,
            info=info,
        )

    def _is_idle(self, name: str) -> bool:
        """Whether a workspace has neither a link nor a service: a session without both is none."""
        workspace = self._open.get(name)
        return workspace is None or not (workspace.registry.sessions or workspace.registry.services)

    def _revoked(self, grant: Grant) -> None:
        self.links.end(lambda session: session.principal.token_id == grant.token_id, "this token was revoked")

    # --- names that outlive the relay ---------------------------------------------------------------------------

    async def restore(self) -> None:
        """Hold the names again that were held when the relay stopped, for what is left of their time."""
        await self._anonymous.restore()
        now = time.time()
        for row in await asyncio.to_thread(self._store.load_names):
            left = row.last_seen + self._config.hub.hold_name - now
            workspace = await self.open(row.workspace) if left > 0 else None
            session = workspace.registry.restore(row.descriptor, row.owner) if workspace is not None else None
            if workspace is None or session is None:
                await asyncio.to_thread(self._store.write_names, [], [(row.workspace, row.name)])
                continue
            self.links.hold(
                session,
                Place(
                    principal=session.principal,
                    registry=workspace.registry,
                    url_of=str,
                    base_url="",
                    hold=left,
                ),
            )

    def _changed(self, workspace: str, what: str, name: str) -> None:
        if what == "status":
            return
        service = self._open[workspace].registry.services.get(name)
        self._names.changed(workspace, name, service)
        if service is not None and is_anonymous(workspace):
            self._anonymous.served(workspace)

    # --- upkeep -------------------------------------------------------------------------------------------------

    async def keep_up(self) -> None:
        """What is done every few seconds: keys and tokens as other processes left them, and what has expired."""
        for workspace in self.all():
            await workspace.keys.synchronize()
        await self._tokens.synchronize()
        now = time.time()
        self.links.end(lambda session: self._is_over(session.principal.token_id, now), "this token has expired")
        over = await self._anonymous.sweep()
        for name in over + await asyncio.to_thread(self._store.remove_expired_workspaces, now):
            self._open.pop(name, None)
        if now - self._remembered > _REMEMBER_EVERY:
            self._remembered = now
            await self.remember()

    def _is_over(self, token_id: str, now: float) -> bool:
        grant = self._tokens.get(token_id)
        return grant is None or grant.revoked or grant.expires <= now

    async def remember(self) -> None:
        """Write down which names are live now."""
        live = [
            (workspace.name, service) for workspace in self.all() for service in workspace.registry.services.values()
        ]
        await self._names.flush([(name, service) for name, service in live if service.status != "reconnecting"])

    async def stop(self) -> None:
        """Close every link, and write what is not written."""
        self._stop_listening()
        await self.remember()
        self.links.close()
        await self._names.flush()
        for workspace in self.all():
            await workspace.keys.synchronize()


async def _no_kernels(kernel_id: str, process: int | None) -> bool:
    return False
