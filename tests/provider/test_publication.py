"""What services and shares have in common: their place on a hub, what is behind it, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from portico.errors import LinkClosed, PorticoError, Refused
from portico.protocol import Limits
from portico.provider.discovery import HubAddress
from portico.provider.options import conditions
from portico.provider.provider import Provider
from portico.provider.publication import Publication
from portico.provider.service import Service
from portico.provider.sharing import Share, make
from portico.provider.thread import LoopThread
from portico.transports.memory import MemoryTransport
from tests.in_process import ADDRESS, BASE, SOON, HereHub, a_hub, linked
from tests.provider.published import saying, service
from tests.transports.recorder import run
from tests.waiting import until

RELAY = HubAddress("https://share.test/", ADDRESS.token, "the test")


class Two:
    """A service's home and a relay, with one provider for both."""

    def __init__(self, home: HereHub, relay: HereHub) -> None:
        self.home, self.relay = home, relay
        self.provider = Provider(dial=self._dial, thread=LoopThread.adopt(asyncio.get_running_loop()))

    async def _dial(self, address: HubAddress, limits: Limits) -> MemoryTransport:
        return await (self.home if address.url == ADDRESS.url else self.relay).dial(address, limits)

    async def serve(self, **options: Any) -> Service:
        return await self.provider.publish(service(self.provider, **options), saying(b"here"), ADDRESS)

    def shared(self, live: Service, **options: Any) -> Share:
        return make(live, RELAY, name="app", conditions=conditions(**options))

    async def put_up(self, kind: str, live: Service) -> Publication:
        """Publish once more, as *live* was: it, or its share."""
        return await self.serve() if kind == "service" else await self.provider.share(self.shared(live))


@asynccontextmanager
async def two_hubs() -> AsyncIterator[Two]:
    async with a_hub(SOON) as home, a_hub(SOON) as relay:
        two = Two(home, relay)
        try:
            yield two
        finally:
            await two.provider.shutdown()


@pytest.mark.parametrize("kind", ["service", "share"])
def test_what_cannot_take_the_place_leaves_what_is_in_it(kind: str) -> None:
    async def work() -> None:
        async with two_hubs() as two:
            live = await two.serve()
            shared = await two.provider.share(two.shared(live))
            before, hub = (live, two.home) if kind == "service" else (shared, two.relay)
            waiting = asyncio.ensure_future(two.put_up(kind, live))
            hub.away = LinkClosed("the hub cannot be reached")
            hub.cut()  # before the hub could answer
            await until(lambda: before.status == "reconnecting")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            hub.away = None
            await until(lambda: before.status == "live")
            assert (live.status, shared.status, hub.names) == ("live", "live", {"app"})
            assert two.provider.services == {"app": live}
            visit = hub.ask("app")
            assert await visit.ended == "whole"

    run(work)


@pytest.mark.parametrize("kind", ["service", "share"])
def test_of_two_at_once_the_later_is_live_and_nothing_is_left_of_the_others(kind: str) -> None:
    async def work() -> None:
        async with two_hubs() as two:
            live = await two.serve()
            await two.provider.share(two.shared(live))
            outcomes = await asyncio.gather(*(two.put_up(kind, live) for _ in range(3)), return_exceptions=True)
            await until(lambda: len(two.provider._board.all()) == 2)
            [now] = [one for one in two.provider.published() if isinstance(one, Share) is (kind == "share")]
            assert now.status == "live"
            assert now in outcomes
            assert all(isinstance(one, PorticoError) or one.status in ("stopped", "live") for one in outcomes)
            for hub in (two.home, two.relay):
                assert hub.names == {"app"}
                assert await hub.ask("app").ended == "whole"

    run(work)


def test_a_service_that_is_stopped_while_it_takes_anothers_place_takes_it_with_it() -> None:
    async def work() -> None:
        async with linked() as (hub, provider):
            ended: list[bytes] = []
            first = await provider.publish(service(provider), saying(b"one", ended), ADDRESS)
            hub.away = LinkClosed("the hub cannot be reached")
            hub.cut()
            second = service(provider)
            coming = asyncio.ensure_future(provider.publish(second, saying(b"two", ended), ADDRESS))
            await until(lambda: provider.services["app"] == second)
            await provider.stop(second)
            hub.away = None
            with pytest.raises(LinkClosed):
                await coming
            await until(lambda: sorted(ended) == [b"one", b"two"])
            await until(lambda: not hub.names)
            assert (first.status, second.status) == ("stopped", "failed")
            assert (provider.services, provider._board.all()) == ({}, [])

    run(work)


def test_neither_a_service_nor_a_share_takes_the_others_place() -> None:
    async def work() -> None:
        async with two_hubs() as two:
            live = await two.serve()
            with pytest.raises(Refused, match="is served there already"):
                await two.provider.share(make(live, ADDRESS, name="app", conditions={}))
            await two.provider.share(two.shared(live))
            other = service(two.provider)
            with pytest.raises(Refused, match="is shared there already"):
                await two.provider.publish(other, saying(b""), RELAY)
            assert (other.status, live.status, two.provider.services) == ("failed", "live", {"app": live})
            assert (two.home.names, two.relay.names) == ({"app"}, {"app"})

    run(work)


def test_words_are_those_of_the_kind() -> None:
    async def work() -> None:
        async with two_hubs() as two:
            live = await two.serve()
            shared = await two.provider.share(two.shared(live))
            again = await two.provider.share(two.shared(live))
            assert (shared.status, shared.error) == ("stopped", "it was shared again")
            with pytest.raises(LinkClosed, match="share it again to make a key"):
                shared.key()
            now = await two.serve()
            assert (live.status, live.error) == ("stopped", "it was served again")
            with pytest.raises(LinkClosed, match="serve it again to make a key"):
                live.key()
            assert again.service == now
            assert repr(now) == f"<service 'app': live at {BASE}app/>"
            assert repr(again) == f"<share of 'app': live at {BASE}app/>"

    run(work)


def test_interrupted_once_it_is_live_it_stays_so_and_what_was_before_it_ends() -> None:
    async def work() -> None:
        async with two_hubs() as two:
            ended: list[bytes] = []
            former = await two.provider.publish(service(two.provider), saying(b"old", ended), ADDRESS)
            moved = service(two.provider)
            moving = asyncio.ensure_future(two.provider.publish(moved, saying(b"new", ended), RELAY))
            two.provider.subscribe(lambda one: one == moved and one.status == "live" and moving.cancel())
            with pytest.raises(asyncio.CancelledError):
                await moving
            assert (moved.status, former.status) == ("live", "stopped")
            assert two.provider.services == {"app": moved}
            await until(lambda: ended == [b"old"])
            await until(lambda: not two.home.links.count)
            assert await two.relay.ask("app").ended == "whole"

    run(work)
