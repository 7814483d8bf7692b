"""A request whose stream is to be opened anew, and cannot be: its visitor is answered, and no counter keeps it.

Each way to fail, at each stage (the first opening, on another replica at once, once the provider is back), for HTTP
with a body and without, for WebSockets, and for both in the base URL of all models.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.hub.answers import Answer
from portico.hub.config import HubConfig
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.hub.models.socket import ModelsSocket
from portico.hub.visits import Visit
from portico.protocol import Limits, ResetCode
from tests.hub.test_opening_failover import ROOMY, lengthy
from tests.in_process import HereHub, Publisher, Received, a_hub, a_request
from tests.transports.recorder import run
from tests.waiting import turns, until

KIB = 1024
CALLER = "192.0.2.0"
LONG = [(b"x-long", b"x" * 5 * KIB)]
NARROW = Limits(max_header_block=4 * KIB)
"""Of a provider that reads no such head."""
NAMED = b'{"model": "m"}'


class Asked:
    """What one visitor asks, in one of the ways to ask; and what it is told in the end."""

    def __init__(self, hub: HereHub, kind: str, headers: Any = LONG) -> None:
        self.hub = hub
        self.visit = Received()
        socket = kind in ("socket", "models socket")
        target = "cat/" if "models" not in kind else ""
        self.kind = kind
        method = "GET" if socket or kind == "get" else "POST"
        self.request = a_request(target, method, [*headers], websocket=socket, caller=CALLER)
        if "models" in kind:
            path = b"/portico/v1/" + (b"responses" if socket else b"chat/completions")
            self.request = self.request._replace(target=path)
        self.forward: Any = None

    async def begin(self) -> Asked:
        """Come to where the stream is open, or this waits for one."""
        hub, request, visit = self.hub, self.request, self.visit
        if "models" in self.kind:
            models = AllModels(hub.gateway, hub.registry, "/portico/v1")
            if self.kind == "models socket":
                socket = ModelsSocket(models, Visit(hub.visits, request))
                await socket.admit()
                self.forward = socket.begin(visit)
                await until(lambda: visit.status == 101)
                socket.visitor_message(NAMED, True)
            else:
                self.forward = ModelsExchange(models, Visit(hub.visits, request), visit, fin=False)
                if await self.forward.start():
                    self.forward.upload(NAMED)
                    self.forward.upload_done()
            await turns()
            return self
        try:
            self.forward = await hub.open(request, visit, fin=self.kind == "get")
        except Answer as answer:
            visit.answer(answer)
            return self
        if self.kind == "post":
            self.forward.upload(b"x" * 1000)
            self.forward.upload_done()
        await turns()
        return self

    async def told(self) -> str:
        """The code of the answer in the hub's own words."""
        visit = self.visit
        await until(lambda: visit.done or visit.messages)
        if self.kind == "models socket":
            return str(json.loads(visit.messages[0])["error"]["code"])
        return visit.code or json.loads(visit.body)["error"]["code"]

    def leave(self) -> None:
        if "socket" in self.kind:
            self.forward.visitor_closed(1006, "")
        else:
            self.forward.visitor_left()


KINDS = ["get", "post", "socket", "models post", "models socket"]
kinds = pytest.mark.parametrize("kind", KINDS)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await lengthy(scope, receive, send)


async def provider(hub: HereHub, kernel_id: str, limits: Limits | None = None, **descriptor: Any) -> Publisher:
    kernel = await hub.kernel(kernel_id).connect(limits=limits)
    descriptor = {"access": "public", "replica": True, "models": ["m"], **descriptor}
    assert (await kernel.register("cat", app, **descriptor)).ok
    return kernel


async def deaf(hub: HereHub, **descriptor: Any) -> Publisher:
    """A provider that reads nothing more; what is opened on its link waits, and was never begun if it is lost."""
    kernel = await provider(hub, "k1", ROOMY, **descriptor)
    assert kernel.transport is not None
    kernel.transport.paused = True
    filling = a_request("cat/", "POST")
    forward = await hub.open(filling, Received(), fin=False)
    forward.upload(b"x" * (2048 * KIB - 1))
    await turns()
    assert not kernel.transport._peer.writable
    return kernel


def settled(hub: HereHub, *services: Any) -> None:
    """Every counter is where it was before anybody asked."""
    for service in (*services, *hub.registry.services.values()):
        assert [replica.in_flight for replica in service.replicas] == [0] * len(service.replicas)
        assert [replica.session.callers for replica in service.replicas] == [{}] * len(service.replicas)
        assert service.waiting == 0
        for replica in service.replicas:
            assert replica.session.link is None or not replica.session.link.streams
    assert hub.gateway._opening._waiters.has_room(CALLER)
    assert not hub.gateway._opening._waiters._held
    assert not hub.gateway._opening._retrying


def check(work: Callable[[HereHub], Awaitable[None]], caplog: pytest.LogCaptureFixture, **config: Any) -> None:
    async def inside() -> None:
        async with a_hub(HubConfig(kernel_poll=0.01, **config)) as hub:
            await work(hub)
            for publisher in hub.publishers:
                publisher.leave()
            await turns()
            settled(hub)

    with caplog.at_level(logging.ERROR):
        run(inside)
    assert [record.message for record in caplog.records] == []


# --- on another replica, at once --------------------------------------------------------------------------------


@kinds
def test_another_replica_reads_no_such_head(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        asked = await Asked(hub, kind).begin()
        await provider(hub, "k2", NARROW)
        await first.cut()
        assert await asked.told() == "too_large"
        if kind != "models socket":
            assert asked.visit.status == 431
        await turns()
        settled(hub)

    check(work, caplog)


@kinds
def test_another_replica_has_no_room(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        asked = await Asked(hub, kind).begin()
        second = await provider(hub, "k2", Limits(max_streams=1))
        assert second.transport is not None
        second.transport.paused = True  # it answers nothing for now
        service = hub.registry.services["cat"]
        held = a_request("cat/")
        holding = await hub.open(held, Received(), alone=service.replicas[1], wait=False)
        assert holding.stream is not None
        await first.cut()
        assert await asked.told() == "overloaded"
        holding.visitor_left()
        await turns()
        settled(hub, service)

    check(work, caplog)


@kinds
def test_the_visitors_share_of_the_other_replica_is_used_up(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        asked = await Asked(hub, kind).begin()
        second = await provider(hub, "k2")
        assert second.transport is not None
        second.transport.paused = True
        service = hub.registry.services["cat"]
        held = a_request("cat/", caller=CALLER)
        holding = await hub.open(held, Received(), alone=service.replicas[1], wait=False)
        assert holding.stream is not None
        await first.cut()
        assert await asked.told() == "too_many_streams"
        holding.visitor_left()
        await turns()
        settled(hub, service)

    check(work, caplog, max_streams_of_address=1)


@kinds
def test_what_the_service_asks_for_has_changed(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Another provider has taken the name, for visitors with a key: whoever was let in before asks anew."""

    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        asked = await Asked(hub, kind).begin()
        await provider(hub, "k2", access="key", replace=True, replica=False)
        await first.cut()
        assert await asked.told() in ("provider_reconnecting", "service_not_found")
        await turns()
        settled(hub)

    check(work, caplog, wait_for_provider=0.05)


# --- once the provider is back, or is not -----------------------------------------------------------------------


async def nothing(hub: HereHub, first: Publisher) -> None: ...


async def back_with_a_small_limit(hub: HereHub, first: Publisher) -> None:
    await first.connect(limits=NARROW)


async def another_with_a_small_limit(hub: HereHub, first: Publisher) -> None:
    await provider(hub, "k2", NARROW)


async def stopped(hub: HereHub, first: Publisher) -> None:
    hub.registry.remove("cat")


async def dropped(hub: HereHub, first: Publisher) -> None:
    for session in tuple(hub.registry.sessions.values()):
        hub.registry.drop(session, "Its notebook was shut down.")


async def hub_leaves(hub: HereHub, first: Publisher) -> None:
    hub.gateway.leave()


ENDS = {
    "nobody comes": (nothing, {"provider_reconnecting"}),
    "it is back, and reads no such head": (back_with_a_small_limit, {"too_large"}),
    "another comes that reads no such head": (another_with_a_small_limit, {"too_large"}),
    "it is stopped": (stopped, {"service_not_found", "unauthorized"}),
    "its notebook ends": (dropped, {"service_gone"}),
    "the hub stops": (hub_leaves, {"restarting"}),
}


@kinds
@pytest.mark.parametrize("waits", ["opened before", "comes meanwhile"])
@pytest.mark.parametrize("end", ENDS)
def test_what_waits_for_a_provider_is_answered(
    kind: str, waits: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    happens, codes = ENDS[end]

    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        service = hub.registry.services["cat"]
        before = await Asked(hub, kind).begin() if waits == "opened before" else None
        await first.cut()
        coming = None if before is not None else asyncio.create_task(Asked(hub, kind).begin())
        await turns()
        assert service.waiting == 1
        await happens(hub, first)
        asked = before or await coming  # type: ignore[misc]
        assert await asked.told() in codes
        await turns()
        settled(hub, service)

    check(work, caplog, wait_for_provider=0.05 if end == "nobody comes" else 10.0)


@kinds
def test_it_is_lost_again_before_it_has_begun(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was opened anew, and never begun a second time."""

    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        service = hub.registry.services["cat"]
        asked = await Asked(hub, kind).begin()
        second = await provider(hub, "k2")
        assert second.link is not None
        second.link.connection.send_goaway(ResetCode.CANCEL, "it stops, and may be back")  # the hub has not heard it
        await first.cut()
        second.link.flush_soon()
        assert await asked.told() == "provider_reconnecting"
        await turns()
        settled(hub, service)

    check(work, caplog)


@kinds
def test_a_visitor_who_leaves_while_it_waits_gives_its_place_back(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        service = hub.registry.services["cat"]
        asked = await Asked(hub, kind).begin()
        await first.cut()
        await turns()
        assert service.waiting == 1
        asked.leave()
        await turns()
        settled(hub, service)

    check(work, caplog)


@kinds
def test_who_waits_is_served_once_the_provider_is_back(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        first = await deaf(hub)
        service = hub.registry.services["cat"]
        before = await Asked(hub, kind).begin()
        await first.cut()
        coming = asyncio.create_task(Asked(hub, kind).begin())
        await turns()
        assert service.waiting == 2
        await first.connect()
        for asked in (before, await coming):
            visit = asked.visit
            await until(lambda visit=visit: visit.messages or visit.body)
            assert visit.status in (101, 200)
            assert visit.messages == ([b"let in"] if "socket" in kind else [])
            if "socket" in kind:
                asked.leave()
        await turns()
        settled(hub, service)

    check(work, caplog)


# --- the first opening ------------------------------------------------------------------------------------------


@kinds
def test_a_first_opening_that_fails_is_not_counted(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        await provider(hub, "k2", NARROW)
        for _ in range(3):
            assert await (await Asked(hub, kind).begin()).told() == "too_large"
        settled(hub)

    check(work, caplog)


def test_what_is_opened_anew_counts_for_the_services_concurrency(caplog: pytest.LogCaptureFixture) -> None:
    """The replica that it counted for is gone, and others have taken every place by the time that it is its turn."""

    async def work(hub: HereHub) -> None:
        conditions = {"concurrency": 3}
        first = await deaf(hub, conditions=conditions)
        second = await provider(hub, "k2", conditions=conditions)
        service = hub.registry.services["cat"]
        left, stays = service.replicas
        await second.cut()
        asked = [await Asked(hub, "get").begin() for _ in range(2)]
        await first.cut()
        await turns()
        hub.registry.drop(left.session, "")
        stays.in_flight += 3  # of visitors who come as it is back
        await second.connect()
        assert [await each.told() for each in asked] == ["concurrency", "concurrency"]
        assert stays.in_flight == 3
        stays.in_flight -= 3

    check(work, caplog)


class _Refusing:
    """In an app's place: begins an answer, and says that it has never begun."""

    def begin(self, stream: Any, request: Any) -> Any:
        stream.send_head(200, [])
        stream.reset(ResetCode.REFUSED, "never begun")
        return stream.handler


def test_a_provider_that_refuses_what_it_has_answered_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async def work(hub: HereHub) -> None:
        first, second = await provider(hub, "k1"), await provider(hub, "k2")
        apps = first.apps["cat"], second.apps["cat"]
        for kernel in (first, second):
            kernel.apps["cat"] = _Refusing()  # type: ignore[assignment]
        asked = await Asked(hub, "get").begin()
        await until(lambda: asked.visit.done)
        assert asked.visit.code == "provider_reconnecting"
        assert [replica.requests for replica in hub.registry.services["cat"].replicas] == [1, 0]
        first.apps["cat"], second.apps["cat"] = apps

    check(work, caplog)
