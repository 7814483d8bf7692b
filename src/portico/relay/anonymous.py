"""Anonymous workspaces: one for each provider that came without a token.

Each address may have a few of them, for as long as they are used.

One that serves nothing and has no link is *idle*. If it never served anything it is removed after `IDLE` seconds; one
that did waits `AWAY` seconds for its provider, a laptop that sleeps, say, and goes before that if its room is needed.
Here is who has which, and which goes; what a workspace is, is in `portico.relay.workspaces`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from portico.errors import Refused
from portico.hub.fair_use import NoRoom, Rates, Shares
from portico.relay.config import ANONYMOUS, RelayConfig
from portico.relay.people.grants import DEFAULT_SCOPES, Grant
from portico.relay.people.tokens import TokenRing
from portico.relay.rows import WorkspaceRow
from portico.relay.store import RelayStore

IDLE = 60.0
"""Seconds: a provider registers its first service within one, and one whose link broke is back within some."""

AWAY = 3600.0
"""Seconds beyond those for which its names are held: a lunch, with the laptop closed."""

_A_SECOND = 0.2  # new ones of one address, beyond its share at once
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_RANDOM_LETTERS = 25  # of 36: 129 bits


@dataclass(slots=True, eq=False)
class _Known:
    """What is known of one workspace. Times in seconds since 1970."""

    network: str
    """Whom it counts for; "" where that is not known, since the relay's start."""
    expires: float
    served: bool = False
    """Whether anything was ever registered in it."""
    idle_since: float | None = None


class AnonymousWorkspaces:
    """All of them."""

    def __init__(
        self,
        config: RelayConfig,
        store: RelayStore,
        tokens: TokenRing,
        *,
        is_idle: Callable[[str], bool],
        on_removed: Callable[[str], None] = lambda name: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """*is_idle* says of a workspace whether it has neither a link nor a service; *on_removed* hears of its end."""
        self._config = config
        self._store = store
        self._tokens = tokens
        self._is_idle = is_idle
        self._on_removed = on_removed
        self._now = now
        self._shares = Shares(config.anonymous_of_address, config.max_anonymous)
        self._made = Rates(config.anonymous_of_address + 1.0, _A_SECOND)
        self._known: dict[str, _Known] = {}

    async def restore(self) -> None:
        """Take in those that were here before the relay's start. Their providers may be on their way back."""
        for row in await asyncio.to_thread(self._store.workspaces):
            if row.name.startswith(ANONYMOUS) and row.expires is not None and row.expires > self._now():
                self._add(row.name, _Known("", row.expires, served=True))

    def __len__(self) -> int:
        return len(self._known)

    def _add(self, name: str, known: _Known) -> None:
        self._known[name] = known
        self._shares.take(known.network)

    def _drop(self, name: str) -> None:
        known = self._known.pop(name, None)
        if known is not None:
            self._shares.give_back(known.network)

    async def make(self, network: str) -> tuple[str, Grant]:
        """A workspace for a provider at *network*, with a name that nobody can guess; returns its token.

        Raises `Refused`, or `NoRoom` where there are too many.
        """
        config = self._config
        if not config.anonymous:
            raise Refused("this relay wants a token: ask its admin for one, or sign in (portico login)")
        if not self._shares.has_room(network):
            await self._make_room(network)
        if self._shares.full:
            await self._make_room(None)
        # from here on nothing is waited for until the new one is counted
        if not self._shares.has_room(network):
            raise NoRoom(
                "anonymous_of_address",
                f"your address holds {self._shares.of_one} anonymous workspaces already, which is its share "
                "(max_anonymous_of_address); sign in (portico login), or stop some of the programs there",
            )
        if self._shares.full:
            raise NoRoom(
                "anonymous",
                f"this relay holds as many anonymous workspaces as it may: {config.max_anonymous} (max_anonymous); "
                "sign in (portico login), or try again later",
            )
        if self._made.take(network):
            raise NoRoom(
                "anonymous_made", "your address asks for anonymous workspaces too often; try again in a moment"
            )
        now = self._now()
        name = ANONYMOUS + "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM_LETTERS))
        self._add(name, _Known(network, now + config.anonymous_lifetime))  # before anything is waited for
        try:
            row = WorkspaceRow(name=name, owner="", created=now, expires=now + config.anonymous_lifetime)
            await asyncio.to_thread(self._store.add_workspace, row)
            return await self._tokens.mint(
                user_id=name,
                workspace=name,
                scopes=(*DEFAULT_SCOPES, "manage"),
                lifetime=config.anonymous_lifetime,
                label="anonymous",
            )
        except BaseException:
            self._drop(name)
            raise

    def came_back(self, name: str, network: str) -> None:
        """A provider showed the token of one. Raises `Refused` if it has just been removed."""
        known = self._known.get(name)
        if known is None:
            raise Refused("this anonymous workspace has ended: nothing was served in it for a while")
        known.idle_since = None
        if not known.network and network:
            self._shares.give_back("")
            known.network = network
            self._shares.take(network)

    def served(self, name: str) -> None:
        """Something was registered in it."""
        known = self._known.get(name)
        if known is not None:
            known.served = True

    async def sweep(self) -> list[str]:
        """Remove those whose time is over; returns their names. Every few seconds."""
        now, over = self._now(), []
        for name, known in self._known.items():
            if known.expires <= now:
                over.append(name)
            elif not self._is_idle(name):
                known.idle_since = None
            elif known.idle_since is None:
                known.idle_since = now
            elif now - known.idle_since >= (AWAY if known.served else IDLE):
                over.append(name)
        for name in over:
            await self._remove(name)
        return over

    async def _make_room(self, network: str | None) -> None:
        """Remove the one that was idle longest, of *network* or of all."""
        idle = [
            (known.idle_since, name)
            for name, known in self._known.items()
            if known.idle_since is not None and network in (None, known.network) and self._is_idle(name)
        ]
        if idle:
            await self._remove(min(idle)[1])

    async def _remove(self, name: str) -> None:
        self._drop(name)
        await self._tokens.remove_workspace(name)
        self._on_removed(name)
