"""Who is told what has become of services, and who waits for it."""

from __future__ import annotations

import asyncio

import pytest

from portico.errors import LinkClosed, NameTaken
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.sharing import make
from tests.in_process import ADDRESS, linked
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import until

OTHER = HubAddress(ADDRESS.url, ADDRESS.token, "the test", workspace="other")


def test_all_are_told_of_each_change_until_they_leave() -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            first: list[str] = []
            second: list[str] = []
            leave = provider.subscribe(lambda service: first.append(service.status))
            provider.subscribe(lambda service: second.append(service.status))
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            leave()
            leave()
            await provider.stop(live)
            assert (first, second) == (["live"], ["live", "stopped"])

    run(work)


def test_one_that_fails_stops_neither_the_others_nor_the_service(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            told: list[str] = []

            def fails(service: Service) -> None:
                raise RuntimeError("no page to show it on")

            provider.subscribe(fails)
            provider.subscribe(lambda service: told.append(service.status))
            live = await provider.publish(service(provider), saying(b"here"), ADDRESS)
            assert (live.status, told) == ("live", ["live"])
            assert await hub.ask("app").ended == "whole"
            hub.cut()
            await until(lambda: told == ["live", "reconnecting", "live"])
            await provider.stop(live)
            assert (told[-1], hub.names) == ("stopped", set())

    run(work)
    assert caplog.text.count("RuntimeError: no page to show it on") == 4


def test_who_is_told_may_leave_come_and_stop_the_service_meanwhile() -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            told: list[tuple[str, str]] = []
            stopping: list[asyncio.Future[None]] = []

            def once(service: Service) -> None:
                leave()
                told.append(("once", service.status))
                provider.subscribe(lambda service: told.append(("later", service.status)))
                stopping.append(asyncio.ensure_future(provider.stop(service)))

            leave = provider.subscribe(once)
            provider.subscribe(lambda service: told.append(("beside", service.status)))
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            await until(lambda: live.status == "stopped")
            assert told == [("once", "live"), ("beside", "live"), ("beside", "stopped"), ("later", "stopped")]

    run(work)


def test_a_change_of_a_share_is_told_of_its_service() -> None:
    async def work() -> None:
        async with linked() as (_hub, provider):
            live = await provider.publish(service(provider), saying(b""), ADDRESS)
            told: list[tuple[Service, list[str]]] = []
            provider.subscribe(lambda one: told.append((one, [share.status for share in one.shares])))
            await provider.share(make(live, OTHER, name="link", conditions={}))
            await provider.stop(live.shares[0])
            assert told == [(live, ["live"]), (live, [])]

    run(work)


def test_who_waits_hears_how_it_ends() -> None:
    async def work() -> None:
        made = service(Provider())
        news = Provider().news
        waiting = [asyncio.ensure_future(news.live(made)) for _ in range(2)]
        await asyncio.sleep(0)
        news.set_status(made, "reconnecting")
        news.set_status(made, "live")
        await asyncio.gather(*waiting)
        news.set_status(made, "stopped", "it was served again")
        with pytest.raises(LinkClosed, match="it was served again"):
            await news.live(made)
        made.failure = NameTaken("it is held by another", {})
        news.set_status(made, "failed", "it is held by another")
        with pytest.raises(NameTaken):
            await news.live(made)

    run(work)
