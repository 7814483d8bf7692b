"""The workspaces of a relay, each with its own services, keys and gate: made when they are first needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from portico.errors import Refused
from portico.hub.callers import Identities
from portico.hub.descriptor import Principal
from portico.hub.holding import PROVIDER_GONE
from portico.hub.keys import InvalidKey, KeyRing, MemoryKeyStore
from portico.hub.links import Links
from portico.hub.replicas import ProviderSession
from portico.hub.tenancy import Tenancy
from portico.hub.tools.base import ToolLimits
from portico.hub.visits import Visits
from portico.hub.workspace import Workspace
from portico.networks import network_of
from portico.protocol.events import Hello
from portico.relay.anonymous import AnonymousWorkspaces
from portico.relay.config import ANONYMOUS, RelayConfig
from portico.relay.held_names import HeldNames
from portico.relay.people.accounts import is_anonymous
from portico.relay.people.grants import Grant
from portico.relay.people.tokens import TokenRing
from portico.relay.rows import identity_of
from portico.relay.store import RelayStore
from portico.relay.workspace_keys import WorkspaceKeys

logger = logging.getLogger(__name__)

_REMEMBER_EVERY = 1800.0  # seconds: so that a relay that crashed knows which names were live
_HOLD_ANONYMOUS = 600.0  # seconds: nobody can sign in to take such a name up again later
_GONE = "this workspace, or its user, was removed"


IdentitiesOf = Callable[[str], Identities]
"""From a workspace's name to who its visitors may be."""


class Workspaces:
    """All of them. Those that nobody has asked for since the start cost nothing."""

    def __init__(
        self, config: RelayConfig, store: RelayStore, tokens: TokenRing, identities_of: IdentitiesOf, visits: Visits
    ) -> None:
        """Reads the store, so it blocks."""
        self._tool_limits = ToolLimits()
        self._config = config
        self._store = store
        self._tokens = tokens
        self._identities_of = identities_of
        self._visits = visits
        self.links = Links(config.hub, authenticate=self.tenancy, kernel_lives=_no_kernels)
        self._open: dict[str, Workspace] = {}
        self._opening = asyncio.Lock()
        self._anonymous = AnonymousWorkspaces(config, store, tokens, is_idle=self._is_idle, on_removed=self._ended)
        self._names = HeldNames(store)
        self._remembered = time.time()
        self._nobodys = self._make("", KeyRing(MemoryKeyStore()), None)
        self._users = store.uids().users
        """Those that there were when it was last looked, by name, with their uids."""
        self._stop_listening = tokens.listen_to_many(self._revoked)
        self._stop_reading = tokens.read_along(self._reconcile)

    # --- finding ------------------------------------------------------------------------------------------------

    def get(self, name: str) -> Workspace:
        """The workspace of that name for a visitor; an empty one, the same for all, if it serves nothing."""
        return self._open.get(name, self._nobodys)

    def all(self) -> list[Workspace]:
        """Those that were asked for since the start."""
        return list(self._open.values())

    async def open(self, name: str) -> Workspace:
        """The workspace of that name, which the caller knows to exist; its keys are read at the first call."""
        if self._tokens.is_behind:  # a workspace may have gone, and another be there under its name
            await self._tokens.synchronize()
        found = self._open.get(name)
        if found is None:
            async with self._opening:
                found = self._open.get(name)
                if found is None:
                    found = self._open[name] = self._make(name, *await asyncio.to_thread(self._keys_of, name))
                    workspace = found
                    found.registry.listen(lambda what, service: self._changed(workspace, what, service))
        return found

    def _keys_of(self, name: str) -> tuple[KeyRing, str | None]:
        """Blocks."""
        uid = self._store.uid_of(name)
        return KeyRing(WorkspaceKeys(self._store, name, uid), identity_of(name, uid)), uid

    def _make(self, name: str, keys: KeyRing, uid: str | None) -> Workspace:
        return Workspace(
            self._config.hub,
            self.links,
            keys,
            self._identities_of(name),
            self._visits,
            lambda service: self._config.service_url(name, service),
            name=name,
            uid=uid,
            identity=identity_of(name, uid),
            anonymous=name.startswith(ANONYMOUS),
            tool_limits=self._tool_limits,
        )

    # --- those that are gone ------------------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        """Close the workspaces that the store does not have any more, or has another of their name; and free the names
        that are held for users who are gone. What is made anew under a name begins with nothing of the former.
        """
        async with self._opening:
            there = await asyncio.to_thread(self._store.uids)
            for workspace in self.all():
                if workspace.uid is not None and there.workspaces.get(workspace.name) != workspace.uid:
                    self._close(workspace)
            gone = {f"user:{user}" for user, uid in self._users.items() if there.users.get(user) != uid}
            self._users = there.users
        if gone:
            for workspace in self.all():
                self._drop(workspace, lambda session: session.principal.id in gone)

    def _ended(self, name: str) -> None:
        if (workspace := self._open.get(name)) is not None:
            self._close(workspace)

    def _close(self, workspace: Workspace) -> None:
        if self._open.get(workspace.name) is workspace:
            del self._open[workspace.name]  # first: what is dropped now is not written down as the next one's
        self._drop(workspace, lambda session: True)

    def _drop(self, workspace: Workspace, which: Callable[[ProviderSession], bool]) -> None:
        """End the sessions of a workspace, with a link or held without one."""
        registry = workspace.registry
        self.links.end(lambda session: registry.sessions.get(session.id) is session and which(session), _GONE)
        for session in [session for session in registry.sessions.values() if which(session)]:
            registry.drop(session, "")

    # --- providers ----------------------------------------------------------------------------------------------

    async def tenancy(self, hello: Hello, address: str = "") -> Tenancy:
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
        tenancy = await self._tenancy_of(grant, token if not hello.token else "")
        if self._is_over(grant.token_id, time.time()):  # while its workspace was opened, which may take a while
            raise Refused("this token was revoked: ask for a new one, or sign in (portico login)")
        if is_anonymous(grant.workspace):
            self._anonymous.came_back(grant.workspace, network_of(address))
        return tenancy

    async def _tenancy_of(self, grant: Grant, token: str) -> Tenancy:
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
        return Tenancy(
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

    def _revoked(self, grants: Sequence[Grant]) -> None:
        """What they published ends, be their links there or away, and the keys that they made."""
        ids = {grant.token_id for grant in grants}
        self.links.end(lambda session: session.principal.token_id in ids, "this token was revoked")
        for name in {grant.workspace for grant in grants} & self._open.keys():
            workspace = self._open[name]
            workspace.keys.end_made_with(ids)
            for session in list(workspace.registry.sessions.values()):
                if not session.linked and session.principal.token_id in ids:
                    workspace.registry.drop(session, PROVIDER_GONE)

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
            self.links.held.hold(
                session,
                Tenancy(
                    principal=session.principal,
                    registry=workspace.registry,
                    url_of=str,
                    base_url="",
                    hold=left,
                ),
            )

    def _changed(self, workspace: Workspace, what: str, name: str) -> None:
        if what == "status" or self._open.get(workspace.name) is not workspace:
            return
        service = workspace.registry.services.get(name)
        self._names.changed(workspace.name, name, service, workspace.uid)
        if service is not None and workspace.anonymous:
            self._anonymous.served(workspace.name)

    # --- upkeep -------------------------------------------------------------------------------------------------

    async def keep_up(self) -> None:
        """What is done every few seconds: keys and tokens as other processes left them, and what has expired."""
        await self._tokens.synchronize()
        await self._synchronize_keys()
        now = time.time()
        self.links.end(lambda session: self._is_over(session.principal.token_id, now), "this token has expired")
        for name in await self._anonymous.sweep() + await asyncio.to_thread(self._store.remove_expired_workspaces, now):
            self._ended(name)
        if now - self._remembered > _REMEMBER_EVERY:
            self._remembered = now
            await self.remember()

    async def _synchronize_keys(self) -> None:
        for workspace in self.all():
            await workspace.synchronize_keys()

    def _is_over(self, token_id: str, now: float) -> bool:
        grant = self._tokens.get(token_id)
        return grant is None or grant.revoked or grant.expires <= now

    async def remember(self) -> None:
        """Write down which names are live now."""
        await self._names.flush(
            [
                (workspace.name, service, workspace.uid)
                for workspace in self.all()
                for service in workspace.registry.services.values()
                if service.status != "reconnecting"
            ]
        )

    async def stop(self) -> None:
        """Close every link, and write what is not written."""
        self._stop_listening()
        self._stop_reading()
        await self.remember()
        self.links.close()
        await self._names.flush()
        await self._synchronize_keys()


async def _no_kernels(kernel_id: str, process: int | None) -> bool:
    return False
