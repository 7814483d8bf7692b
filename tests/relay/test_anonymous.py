"""Anonymous workspaces: how many an address may have, and when one ends. The clock is the test's."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import pytest

from portico.errors import Refused
from portico.hub.fair_use import NoRoom
from portico.relay.anonymous import AWAY, IDLE, AnonymousWorkspaces
from portico.relay.config import RelayConfig
from portico.relay.people.tokens import TokenRing
from portico.relay.store import RelayStore

DAY = 86400.0


class Here:
    def __init__(self, **settings: object) -> None:
        self.store = RelayStore()
        self.tokens = TokenRing(self.store)
        self.used: set[str] = set()
        """Those with a link or a service."""
        self.now = 1_000_000_000.0
        self.config = RelayConfig(paths=True, anonymous=True, **settings)  # type: ignore[arg-type]
        self.anonymous = self.fresh()

    def fresh(self) -> AnonymousWorkspaces:
        return AnonymousWorkspaces(
            self.config,
            self.store,
            self.tokens,
            is_idle=lambda name: name not in self.used,
            now=lambda: self.now,
        )

    async def make(self, network: str, *, used: bool = False) -> str:
        _, grant = await self.anonymous.make(network)
        if used:
            self.used.add(grant.workspace)
        return grant.workspace

    @property
    def stored(self) -> set[str]:
        return {row.name for row in self.store.workspaces()}


def with_store(work: Callable[[Here], Awaitable[None]], **settings: object) -> None:
    async def inside() -> None:
        here = Here(**settings)
        try:
            await work(here)
        finally:
            here.store.close()

    asyncio.run(inside())


def test_each_address_has_a_share() -> None:
    async def work(here: Here) -> None:
        for _ in range(2):
            await here.make("192.0.2.66", used=True)
        with pytest.raises(NoRoom, match="max_anonymous_of_address") as raised:
            await here.make("192.0.2.66")
        assert raised.value.limit == "anonymous_of_address"
        for number in range(6):
            await here.make(f"192.0.2.{number}", used=True)
        with pytest.raises(NoRoom, match="max_anonymous"):
            await here.make("192.0.2.99")

    with_store(work, max_anonymous=8)


def test_many_at_once_get_no_more_than_their_share() -> None:
    async def work(here: Here) -> None:
        tries = [here.make("192.0.2.66", used=True) for _ in range(30)]
        made = [item for item in await asyncio.gather(*tries, return_exceptions=True) if isinstance(item, str)]
        assert len(made) == 3
        assert here.stored == set(made)

    with_store(work, max_anonymous=12)


def test_one_that_is_not_used_ends_soon() -> None:
    async def work(here: Here) -> None:
        name = await here.make("192.0.2.1")
        kept = await here.make("192.0.2.1", used=True)
        [grant] = here.tokens.list(workspace=name)
        assert await here.anonymous.sweep() == []
        here.now += IDLE - 1
        assert await here.anonymous.sweep() == []
        here.now += 2
        assert await here.anonymous.sweep() == [name]
        assert here.stored == {kept}
        assert here.tokens.get(grant.token_id) is None
        assert [row for row in here.store.tokens() if row.workspace == name] == []
        with pytest.raises(Refused, match="has ended"):
            here.anonymous.came_back(name, "192.0.2.1")

    with_store(work)


def test_one_that_served_waits_for_its_provider() -> None:
    async def work(here: Here) -> None:
        name = await here.make("192.0.2.1", used=True)
        here.anonymous.served(name)
        await here.anonymous.sweep()
        here.used.clear()
        for _ in range(int(AWAY / IDLE)):
            assert await here.anonymous.sweep() == []
            here.now += IDLE
        here.anonymous.came_back(name, "192.0.2.1")  # just in time
        assert await here.anonymous.sweep() == []
        here.now += AWAY
        assert await here.anonymous.sweep() == [name]

    with_store(work)


def test_one_that_waits_goes_where_its_room_is_needed() -> None:
    async def work(here: Here) -> None:
        mine = [await here.make("192.0.2.66", used=True) for _ in range(2)]
        for name in mine:
            here.anonymous.served(name)
        others = [await here.make(f"192.0.2.{number}", used=True) for number in range(6)]
        here.used.discard(mine[0])
        await here.anonymous.sweep()
        here.now += 1.0
        here.used.discard(others[0])
        await here.anonymous.sweep()
        await here.make("192.0.2.66", used=True)  # its own goes first
        assert mine[0] not in here.stored
        assert others[0] in here.stored
        await here.make("192.0.2.99", used=True)
        assert others[0] not in here.stored
        with pytest.raises(NoRoom):
            await here.make("192.0.2.98")

    with_store(work, max_anonymous=8)


def test_made_in_a_loop_they_come_slowly() -> None:
    async def work(here: Here) -> None:
        with pytest.raises(NoRoom) as raised:
            await in_a_loop(here)
        assert raised.value.limit == "anonymous_made"
        assert len(here.stored) <= 1
        await here.make("192.0.2.7")

    async def in_a_loop(here: Here) -> None:
        for _ in range(100):
            await here.make("192.0.2.66")
            await here.anonymous.sweep()
            here.now += IDLE
            await here.anonymous.sweep()

    with_store(work, max_anonymous=40)


def test_after_a_restart_they_count_for_whoever_comes_back() -> None:
    async def work(here: Here) -> None:
        names = [await here.make("192.0.2.1") for _ in range(2)]
        here.anonymous = here.fresh()
        await here.anonymous.restore()
        assert len(here.anonymous) == 2
        for name in names:
            here.used.add(name)
            here.anonymous.came_back(name, "192.0.2.1")
        with pytest.raises(NoRoom):
            await here.make("192.0.2.1")
        here.now += DAY
        assert set(await here.anonymous.sweep()) == set(names)
        assert here.stored == set()

    with_store(work, max_anonymous=8)


def test_what_cannot_be_written_does_not_count() -> None:
    async def work(here: Here) -> None:
        here.store.close()
        for _ in range(3):
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                await here.make("192.0.2.1")
        assert len(here.anonymous) == 0

    with_store(work, max_anonymous=8)
