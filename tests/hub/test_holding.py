"""What becomes of names when a link is lost: for whom they are held, how long, and how many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from portico.errors import Refused
from portico.hub.config import HubConfig
from tests.in_process import TOKEN, HereHub, Publisher, a_hub, echo
from tests.transports.recorder import run
from tests.waiting import until


def with_hub(work: Callable[[HereHub], Awaitable[None]], config: HubConfig | None = None) -> None:
    async def inside() -> None:
        async with a_hub(config) as hub:
            await work(hub)

    run(inside)


async def removed(hub: HereHub, name: str) -> None:
    gone = asyncio.Event()
    stop = hub.registry.listen(lambda what, which: gone.set() if (what, which) == ("removed", name) else None)
    if name in hub.registry.services:
        await gone.wait()
    stop()


def test_a_kernels_names_are_held_while_it_lives_and_dropped_when_it_does_not() -> None:
    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel().connect()
        await kernel.register("cat", echo)
        await kernel.cut()
        for _ in range(3):
            await asyncio.sleep(0)
        assert hub.registry.services["cat"].status == "reconnecting"
        hub.kernels["k1"] = 101  # it was started again: another process
        await removed(hub, "cat")
        assert "kernel" in (hub.registry.why_gone("cat") or "")
        stranger = Publisher(hub, hub.keys.mint_provider("k9"), session=kernel.session)
        with pytest.raises(Refused):
            await stranger.connect(epoch=9)

    with_hub(work)


def test_a_script_has_its_time_to_come_back() -> None:
    async def work(hub: HereHub) -> None:
        script = await Publisher(hub, TOKEN.decode()).connect()
        await script.register("cat", echo)
        await script.cut()
        await removed(hub, "cat")
        assert "process" in (hub.registry.why_gone("cat") or "")

    with_hub(work, HubConfig(hold_name=0.05))


def test_who_says_goodbye_leaves_nothing() -> None:
    async def work(hub: HereHub) -> None:
        kernel = await hub.kernel().connect()
        await kernel.register("cat", echo)
        kernel.leave()
        await removed(hub, "cat")
        assert hub.registry.sessions == {}

    with_hub(work)


def test_a_kernel_that_ends_takes_its_services_with_it_at_once() -> None:
    async def work(hub: HereHub) -> None:
        kernel, other = await hub.kernel("k1").connect(), await hub.kernel("k2").connect()
        await kernel.register("cat", echo, access="public")
        await other.register("dog", echo, access="public")
        hub.links.kernel_ended(hub.registry, "k1")
        assert (await hub.visit("cat/")).code == "service_gone"
        assert (await hub.visit("dog/")).status == 200
        await until(lambda: kernel.closed)

    with_hub(work)


def test_a_session_that_holds_nothing_is_dropped_with_its_link() -> None:
    async def work(hub: HereHub) -> None:
        for _ in range(10):
            kernel = await hub.kernel().connect()
            await kernel.cut()
        await until(lambda: not hub.registry.sessions)

    with_hub(work, HubConfig(hold_name=86400.0))


@pytest.mark.parametrize("how", ["stopped", "replaced"])
def test_a_lost_session_whose_last_service_is_taken_is_dropped(how: str) -> None:
    async def work(hub: HereHub) -> None:
        script = await Publisher(hub, TOKEN.decode()).connect()
        await script.register("cat", echo)
        await script.cut()
        await until(lambda: hub.registry.services["cat"].status == "reconnecting")
        if how == "stopped":
            hub.registry.remove("cat")
        else:
            await (await hub.kernel().connect()).register("cat", echo, replace=True)
        assert [session.id for session in hub.registry.sessions.values() if session.link is None] == []
        assert not hub.links.held.of_owner

    with_hub(work, HubConfig(hold_name=86400.0))


def test_one_provider_cannot_leave_sessions_without_end() -> None:
    async def work(hub: HereHub) -> None:
        for number in range(20):
            script = await Publisher(hub, TOKEN.decode()).connect()
            assert (await script.register("cat", echo, replica=True)).ok, number
            await script.cut()
            await until(lambda: hub.links.count == 0)
        held = [session for session in hub.registry.sessions.values() if session.link is None]
        assert len(held) <= 3
        assert sum(len(sessions) for sessions in hub.links.held.of_owner.values()) == len(held)

    with_hub(work, HubConfig(hold_name=86400.0, max_links_of_user=3, max_services_of_user=3))


def test_a_session_lost_and_found_in_a_loop_leaves_nothing_behind() -> None:
    async def work(hub: HereHub) -> None:
        script = await Publisher(hub, TOKEN.decode()).connect()
        await script.register("cat", echo)
        tasks = len(hub.links._tasks)
        for _ in range(50):
            await script.cut()
            await until(lambda: hub.registry.services["cat"].status == "reconnecting")
            assert sum(len(sessions) for sessions in hub.links.held.of_owner.values()) == 1
            await script.connect()
            assert not hub.links.held.of_owner
        await until(lambda: len(hub.links._tasks) == tasks)

    with_hub(work, HubConfig(hold_name=86400.0))
