"""Names are written together, behind the events' back, and none is lost but by a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from portico.hub.config import HubConfig
from portico.hub.descriptor import Descriptor, Principal
from portico.hub.replicas import ProviderSession, PublishedService, Replica
from portico.relay.held_names import WITHIN, HeldNames
from portico.relay.store import RelayStore
from tests.waiting import until


class CountingStore(RelayStore):
    """Counts its writes of names; some of them fail."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.failing = False

    def write_names(self, names: Any, gone: Any, *more: Any) -> None:
        self.writes += 1
        if self.failing:
            raise OSError("the disk is full")
        super().write_names(names, gone, *more)


def service(name: str, owner: str = "user:alice", title: str = "") -> PublishedService:
    session = ProviderSession("s", Principal(id=owner), {}, None, 1)
    descriptor = Descriptor.read({"name": name, "title": title}, HubConfig())
    return PublishedService(descriptor, [Replica(session)])


def with_names(work: Callable[[CountingStore, HeldNames], Awaitable[None]]) -> None:
    async def inside() -> None:
        store = CountingStore()
        try:
            await work(store, HeldNames(store))
        finally:
            store.close()

    asyncio.run(inside())


def test_what_is_offered_is_held_too() -> None:
    """What a name's service was like is the same after a restart, before its provider is back."""
    value = {"name": "cat", "kind": "board", "models": ["m"], "tools": {"names": ["add"], "digest": "9f86"}}
    value |= {"capabilities": [{"gpus": 2}], "later": {"a": [1]}}

    async def work(store: CountingStore, names: HeldNames) -> None:
        described = Descriptor.read(value, HubConfig())
        session = ProviderSession("s", Principal(id="user:alice"), {}, None, 1)
        names.changed("alice", "cat", PublishedService(described, [Replica(session)]))
        await names.flush()
        [row] = store.load_names()
        assert Descriptor.read(row.descriptor, HubConfig()) == described

    with_names(work)


def held(store: RelayStore) -> dict[str, str]:
    return {f"{row.workspace}/{row.name}": row.owner for row in store.load_names()}


def test_a_flood_of_changes_is_one_write_and_the_last_of_them_counts() -> None:
    async def work(store: CountingStore, names: HeldNames) -> None:
        for number in range(10_000):
            names.changed("alice", "cat", service("cat"))
            names.changed("alice", "cat", None)
            names.changed("alice", f"dog{number % 5}", service(f"dog{number % 5}"))
        assert store.writes == 0
        await names.flush()
        assert store.writes == 1
        assert sorted(held(store)) == [f"alice/dog{number}" for number in range(5)]

    with_names(work)


def test_the_first_is_written_at_once_and_others_within_a_second() -> None:
    async def work(store: CountingStore, names: HeldNames) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        names.changed("alice", "cat", service("cat"))
        await until(lambda: held(store))
        first = clock()
        assert first - began < WITHIN, "a relay that is killed right away knows its names"
        async with asyncio.timeout(10):
            while len(held(store)) < 2:
                names.changed("alice", "dog", service("dog"))  # what goes on changing does not put it off
                await asyncio.sleep(0.01)
        assert clock() - began >= WITHIN
        assert store.writes == 2
        await names.flush()

    with_names(work)


def test_a_name_that_passes_on_is_its_new_holders() -> None:
    async def work(store: CountingStore, names: HeldNames) -> None:
        names.changed("team", "cat", service("cat", "user:alice"))
        await names.flush()
        names.changed("team", "cat", None)
        names.changed("team", "cat", service("cat", "user:bob"))
        await names.flush()
        assert held(store) == {"team/cat": "user:bob"}
        empty = service("cat")
        empty.replicas.clear()
        names.changed("team", "cat", empty)
        await names.flush()
        assert held(store) == {}

    with_names(work)


def test_a_write_that_fails_is_made_again_with_what_came_meanwhile() -> None:
    async def work(store: CountingStore, names: HeldNames) -> None:
        names.changed("alice", "cat", service("cat"))
        names.changed("alice", "dog", service("dog"))
        store.failing = True
        await names.flush()
        assert held(store) == {}
        names.changed("alice", "dog", None)
        store.failing = False
        await names.flush()
        assert sorted(held(store)) == ["alice/cat"]

    with_names(work)


def test_those_of_anonymous_workspaces_are_not_kept() -> None:
    async def work(store: CountingStore, names: HeldNames) -> None:
        names.changed("anon-1", "cat", service("cat"))
        await names.flush([("anon-1", service("dog"))])
        assert store.writes == 0

    with_names(work)
