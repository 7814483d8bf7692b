"""A workspace is the same thing in a hub of one and in a relay of many, and has nothing of another's."""

from __future__ import annotations

import pytest

from portico.hub.config import HubConfig
from portico.hub.keys import InvalidKey, KeyRing, MemoryKeyStore
from portico.hub.visits import Visits
from portico.hub.workspace import Workspace
from tests.in_process import Door, HereHub, a_hub, echo
from tests.transports.recorder import run


class FullDisk(MemoryKeyStore):
    """A store that cannot be read or written while *full*."""

    full = False

    def version(self) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().version()


def beside(hub: HereHub, name: str, *, anonymous: bool = False) -> Workspace:
    """A workspace more, on the hub's links."""
    return Workspace(
        HubConfig(),
        hub.links,
        KeyRing(MemoryKeyStore()),
        Door(),
        Visits(),
        lambda service: f"/{name}/{service}/",
        name=name,
        identity=f"{name}:1",
        anonymous=anonymous,
    )


def test_a_hub_is_one_workspace() -> None:
    async def work() -> None:
        async with a_hub() as hub:
            own = hub.workspace
            assert (hub.registry, hub.keys, hub.gateway, hub.control) == (
                own.registry,
                own.keys,
                own.gateway,
                own.control,
            )
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", echo, access="public")).ok
            assert list(own.registry.services) == ["cat"]
            assert (await hub.visit("cat/")).status == 200

    run(work)


def test_workspaces_on_the_same_links_share_nothing() -> None:
    async def work() -> None:
        async with a_hub() as hub:
            other = beside(hub, "other")
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", echo)).ok
            assert not other.registry.services
            token, _ = await hub.keys.mint(["cat"], 60)
            with pytest.raises(InvalidKey):
                other.keys.verify(token)
            assert beside(hub, "strangers", anonymous=True).registry.interstitial
            assert not other.registry.interstitial
            value = hub.gateway.enforcer.make_confirmation("cat").encode()
            assert hub.gateway.enforcer.is_confirmation("cat", value)
            assert not other.gateway.enforcer.is_confirmation("cat", value)

    run(work)


def test_a_disk_that_is_full_is_said_and_does_not_end_the_upkeep(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        store = FullDisk()
        async with a_hub(store=store) as hub:
            store.full = True
            await hub.workspace.synchronize_keys()
            await hub.workspace.synchronize_keys()
            store.full = False
            await hub.workspace.synchronize_keys()

    run(work)
    assert caplog.text.count("the keys could not be read or written") == 2
    assert "No space left" in caplog.text
