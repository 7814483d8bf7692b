"""Who may take a name, for how long it is kept, and what is said of one that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from portico.errors import NameTaken, Refused
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.registry import Registry
from portico.hub.replicas import ProviderSession
from portico.link import Link
from portico.protocol import Connection, Role
from portico.transports.memory import pair


class Here:
    """A registry, and sessions with links that lead nowhere: no frame is sent in these tests."""

    def __init__(self, config: HubConfig | None = None) -> None:
        self.registry = Registry(config or HubConfig())
        self.heard: list[tuple[str, str]] = []
        self.registry.listen(lambda what, name: self.heard.append((what, name)))

    def link(self) -> Link:
        owner: Any = None
        return Link(Connection(Role.HUB), pair()[0], owner)

    def join(self, kernel: str = "", process: int | None = 1, session: str = "", epoch: int = 1) -> ProviderSession:
        principal = (
            Principal(id=f"kernel:{kernel}", kernel_id=kernel, process=process, manages=False)
            if kernel
            else Principal(id="user:ada")
        )
        name = session or f"{kernel}-{process}-{epoch}-{len(self.registry.sessions)}"
        return self.registry.join(name, epoch, principal, {"notebook": f"{kernel}.ipynb"}, self.link())

    def serve(self, session: ProviderSession, name: str = "cat", **more: Any) -> list[ProviderSession]:
        return self.registry.register(session, {"name": name, **more})[1]

    def holders(self, name: str = "cat") -> list[ProviderSession]:
        service = self.registry.services.get(name)
        return [replica.session for replica in service.replicas] if service else []


def on_loop(test: Callable[[Here], None]) -> Callable[[], None]:
    """A registry's events belong to a loop."""

    def run() -> None:
        async def inside() -> None:
            test(Here())

        asyncio.run(inside())

    run.__name__ = test.__name__
    return run


@on_loop
def test_a_name_is_held_by_who_took_it_first(here: Here) -> None:
    first, second = here.join("k1"), here.join("k2")
    here.serve(first)
    with pytest.raises(NameTaken) as raised:
        here.serve(second)
    assert "k1.ipynb" in str(raised.value)
    assert raised.value.holder["kernel_id"] == "k1"
    assert here.holders() == [first]


@on_loop
def test_replace_takes_it_and_says_from_whom(here: Here) -> None:
    first, second = here.join("k1"), here.join("k2")
    here.serve(first)
    assert here.serve(second, replace=True) == [first]
    assert here.holders() == [second]
    assert first.services == set()


@on_loop
def test_replace_and_replica_are_true_or_not_asked_for(here: Here) -> None:
    first, second = here.join("k1"), here.join("k2")
    here.serve(first)
    for value in (1, "yes", [True]):
        with pytest.raises(NameTaken):
            here.serve(second, replace=value, replica=value)


@on_loop
def test_a_replica_stands_beside_and_changes_neither_access_nor_origins(here: Here) -> None:
    first, second, third = here.join("k1"), here.join("k2"), here.join("k3")
    here.serve(first, origins=["https://a.example"])
    here.serve(second, replica=True, origins=["https://a.example"])
    assert here.holders() == [first, second]
    with pytest.raises(Refused, match="cannot be public"):
        here.serve(third, replica=True, access="public", origins=["https://a.example"])
    with pytest.raises(Refused, match="origins"):
        here.serve(third, replica=True, origins=["https://evil.example"])
    assert here.registry.services["cat"].descriptor.access == "private"
    here.registry.drop(first, "gone")
    assert here.holders() == [second]


@on_loop
def test_a_kernel_takes_its_own_names_back_after_a_restart(here: Here) -> None:
    before, after = here.join("k1", process=1), here.join("k1", process=2)
    here.serve(before)
    here.serve(after)
    assert here.holders() == [after]


@on_loop
def test_a_user_takes_an_abandoned_name_of_its_own_and_no_live_one(here: Here) -> None:
    first, second = here.join(), here.join()
    here.serve(first)
    with pytest.raises(NameTaken):
        here.serve(second)
    here.registry.unlinked(first, 1.0)
    here.serve(second)
    assert here.holders() == [second]


@on_loop
def test_an_abandoned_name_of_another_is_held(here: Here) -> None:
    first = here.join("k1")
    here.serve(first)
    here.registry.unlinked(first, 1.0)
    for other in (here.join("k2"), here.join()):
        with pytest.raises(NameTaken):
            here.serve(other)
    assert here.registry.services["cat"].status == "reconnecting"


@on_loop
def test_a_session_is_its_principals_and_its_newest_links(here: Here) -> None:
    session = here.join("k1", session="s" * 16)
    here.serve(session)
    here.registry.unlinked(session, 1.0)
    with pytest.raises(Refused, match="another provider"):
        here.join("k2", session="s" * 16, epoch=2)
    with pytest.raises(Refused, match="another provider"):
        here.join("k1", process=2, session="s" * 16, epoch=2)
    with pytest.raises(Refused, match="newer"):
        here.join("k1", session="s" * 16, epoch=1)
    assert here.join("k1", session="s" * 16, epoch=2) is session
    assert here.registry.services["cat"].status == "live"


@on_loop
def test_what_is_said_of_a_name_that_has_gone(here: Here) -> None:
    session = here.join("k1")
    here.serve(session, access="public")
    here.registry.drop(session, "the kernel has gone")
    assert here.registry.why_gone("cat") == "the kernel has gone"
    assert here.registry.access_of_gone("cat") == "public"
    assert here.registry.why_gone("dog") is None
    assert here.registry.access_of_gone("dog") == "private"
    here.serve(here.join("k1", process=2))
    assert here.registry.why_gone("cat") is None


@on_loop
def test_tombstones_are_bounded(here: Here) -> None:
    for number in range(1500):
        session = here.join("k1", process=number)
        here.serve(session, f"n{number}")
        here.registry.drop(session, "gone")
    assert here.registry.why_gone("n0") is None
    assert here.registry.why_gone("n1499") == "gone"
    assert here.registry.sessions == {}


@on_loop
def test_a_provider_takes_back_its_own_alone(here: Here) -> None:
    first, second = here.join("k1"), here.join("k2")
    here.serve(first)
    assert not here.registry.unregister(second, "cat")
    assert here.registry.unregister(first, "cat")
    assert not here.registry.unregister(first, "cat")
    assert here.registry.why_gone("cat") is None


@on_loop
def test_listeners_hear_of_each_change(here: Here) -> None:
    session = here.join("k1")
    here.serve(session)
    here.serve(session, title="Cat")
    here.registry.stalled(session, True)
    here.registry.remove("cat")
    assert here.heard == [("registered", "cat"), ("updated", "cat"), ("status", "cat"), ("removed", "cat")]


def test_services_are_bounded() -> None:
    async def inside() -> None:
        here = Here(HubConfig(max_services=2))
        session = here.join("k1")
        here.serve(session, "a")
        here.serve(session, "b")
        with pytest.raises(Refused, match="2 services"):
            here.serve(session, "c")
        here.serve(session, "b", title="again")

    asyncio.run(inside())
