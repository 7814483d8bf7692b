"""Requests that a provider has never begun are begun by another, or by the same once it is back; others never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from portico.hub.config import HubConfig
from portico.hub.http_forward import HTTPForward
from portico.protocol import Limits, ResetCode
from tests.in_process import HereHub, Publisher, Received, a_hub, a_request
from tests.transports.recorder import run
from tests.waiting import until

MIB = 1024 * 1024
ROOMY = Limits(stream_window=2 * MIB)
"""Of a provider that takes so much of one upload that the way to it fills up."""

Work = Callable[[HereHub, Publisher, list[str]], Awaitable[None]]


async def lengthy(scope: Any, receive: Any, send: Any) -> None:
    """Says which method it was and how long the body."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "let in"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['method']} {size}".encode()})


def serving(begun: list[str], who: str) -> Any:
    """The app of one provider: what it begins is written down in *begun*."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        begun.append(who)
        await lengthy(scope, receive, send)

    return app


def with_a_full_link(work: Work, config: HubConfig | None = None) -> None:
    """Run *work* with a hub whose only provider of ``cat`` reads nothing any more, and the list of who began what."""

    async def inside() -> None:
        async with a_hub(config) as hub:
            begun: list[str] = []
            kernel = await hub.kernel().connect(limits=ROOMY)
            assert (await kernel.register("cat", serving(begun, "first"), access="public", replica=True)).ok
            assert kernel.transport is not None
            kernel.transport.paused = True
            filling, _ = await begin(hub, "POST")
            filling.upload(b"x" * (2 * MIB - 1))
            await asyncio.sleep(0)
            assert kernel.link is not None
            assert not kernel.transport._peer.writable
            await work(hub, kernel, begun)

    run(inside)


async def begin(hub: HereHub, method: str = "GET") -> tuple[HTTPForward, Received]:
    """Send a request on its way; its body, if it is to have one, comes later."""
    visit, request = Received(), a_request("cat/", method)
    return await hub.open(request, visit, fin=method == "GET"), visit


async def another(hub: HereHub, begun: list[str]) -> Publisher:
    kernel = await hub.kernel("k2").connect()
    assert (await kernel.register("cat", serving(begun, "second"), access="public", replica=True)).ok
    return kernel


async def whole(visit: Received) -> bytes:
    await until(lambda: visit.done)
    return visit.body


def in_flight(hub: HereHub) -> int:
    return sum(replica.in_flight for replica in hub.registry.services["cat"].replicas)


def test_what_was_not_begun_goes_to_another_provider() -> None:
    async def work(hub: HereHub, kernel: Publisher, begun: list[str]) -> None:
        gets = [(await begin(hub))[1] for _ in range(5)]
        posting, post = await begin(hub, "POST")
        posting.upload(b"x" * 1000)
        socket = asyncio.create_task(hub.visit("cat/", websocket=True))
        await asyncio.sleep(0)
        await another(hub, begun)
        await kernel.cut()
        posting.upload(b"x" * 1000)
        posting.upload_done()
        assert [await whole(visit) for visit in gets] == [b"GET 0"] * 5
        assert await whole(post) == b"POST 2000"
        assert (await socket).status == 101
        assert begun == ["second"] * 7
        seen = await socket
        await until(lambda: seen.messages)
        hub.publishers[-1].leave()

    with_a_full_link(work)


def test_what_was_not_begun_waits_for_the_provider_to_come_back() -> None:
    async def work(hub: HereHub, kernel: Publisher, begun: list[str]) -> None:
        gets = [(await begin(hub))[1] for _ in range(5)]
        posting, post = await begin(hub, "POST")
        posting.upload(b"x" * 1000)
        socket = asyncio.create_task(hub.visit("cat/", websocket=True))
        await asyncio.sleep(0)
        await kernel.cut()
        held = posting.upload(b"x" * 1000)
        assert held is not None
        assert not held.done()
        assert not any(visit.done for visit in (*gets, post))
        await kernel.connect()
        await held
        posting.upload_done()
        assert [await whole(visit) for visit in gets] == [b"GET 0"] * 5
        assert await whole(post) == b"POST 2000"
        assert (await socket).status == 101
        assert begun == ["first"] * 7

    with_a_full_link(work)


def test_it_waits_so_long_and_no_longer() -> None:
    async def work(hub: HereHub, kernel: Publisher, begun: list[str]) -> None:
        _, get = await begin(hub)
        posting, post = await begin(hub, "POST")
        posting.upload(b"x" * 1000)
        socket = asyncio.create_task(hub.visit("cat/", websocket=True))
        await asyncio.sleep(0)
        await kernel.cut()
        for visit in (get, post, await socket):
            await whole(visit)
            assert (visit.status, visit.code) == (503, "provider_reconnecting")
        assert in_flight(hub) == 0
        assert begun == []

    with_a_full_link(work, HubConfig(wait_for_provider=0.05))


def test_a_visitor_that_leaves_meanwhile_is_forgotten() -> None:
    async def work(hub: HereHub, kernel: Publisher, begun: list[str]) -> None:
        (leaving, left), (_, stays) = await begin(hub), await begin(hub)
        await kernel.cut()
        leaving.visitor_left()
        await kernel.connect()
        assert await whole(stays) == b"GET 0"
        assert not left.done
        assert begun == ["first"]
        assert in_flight(hub) == 0

    with_a_full_link(work)


def test_what_was_sent_is_not_sent_twice() -> None:
    async def work(hub: HereHub, kernel: Publisher, begun: list[str]) -> None:
        long, visit = await begin(hub, "POST")  # its OPEN waits, but it is too long to be kept
        for _ in range(3):
            long.upload(b"x" * 65536)
        await another(hub, begun)
        await kernel.cut()
        assert await whole(visit)
        assert (visit.status, visit.code) == (503, "provider_reconnecting")
        assert begun == []

    with_a_full_link(work)


def test_an_app_that_may_have_begun_is_not_asked_twice() -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            begun: list[str] = []
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", serving(begun, "first"), access="public", replica=True)).ok
            assert kernel.transport is not None
            kernel.transport.paused = True
            _, visit = await begin(hub)
            await asyncio.sleep(0)
            await another(hub, begun)
            await kernel.cut()
            await whole(visit)
            assert (visit.status, visit.code) == (502, "provider_lost")
            assert begun == []

    run(inside)


def test_what_crosses_a_providers_goodbye_goes_to_another() -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            begun: list[str] = []
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", serving(begun, "first"), access="public", replica=True)).ok
            await another(hub, begun)
            assert kernel.link is not None
            kernel.link.connection.send_goaway(ResetCode.CANCEL, "it stops, and may be back")
            visits = []
            for _ in range(4):
                posting, visit = await begin(hub, "POST")
                posting.upload(b"x" * 1000)
                posting.upload_done()
                visits.append(visit)
            kernel.link.flush_soon()
            assert [await whole(visit) for visit in visits] == [b"POST 1000"] * 4
            assert begun == ["second"] * 4

    run(inside)


def test_a_provider_that_said_goodbye_is_waited_for() -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            begun: list[str] = []
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", serving(begun, "first"), access="public")).ok
            assert kernel.link is not None
            goodbye = kernel.link
            goodbye.connection.send_goaway(ResetCode.CANCEL, "it stops, and may be back")
            posting, crossing = await begin(hub, "POST")  # the hub has not heard it yet
            posting.upload(b"x" * 1000)
            posting.upload_done()
            goodbye.flush_soon()
            session = next(iter(hub.registry.sessions.values()))
            while session.link is None or not session.link.connection.going_away:  # noqa: ASYNC110 -- some turns of the loop
                await asyncio.sleep(0)
            coming = asyncio.create_task(hub.visit("cat/"))
            await asyncio.sleep(0)
            goodbye.close(ResetCode.CANCEL, "it is gone")
            await kernel.connect()
            assert (await coming).status == 200
            assert await whole(crossing) == b"POST 1000"
            assert begun == ["first"] * 2

    run(inside)


def test_what_comes_too_late_for_a_goodbye_to_be_answered_goes_to_another() -> None:
    """The provider is gone before it can refuse; its GOAWAY has said which stream was the last that it knew."""

    async def inside() -> None:
        async with a_hub() as hub:
            begun: list[str] = []
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", serving(begun, "first"), access="public", replica=True)).ok
            await another(hub, begun)
            assert kernel.link is not None
            assert kernel.transport is not None
            kernel.transport.paused = True  # what the hub sends is on its way for a while
            visits = [(await begin(hub))[1] for _ in range(4)]
            await asyncio.sleep(0)
            kernel.link.close(ResetCode.CANCEL, "it stops, and may be back")
            assert [await whole(visit) for visit in visits] == [b"GET 0"] * 4
            assert begun == ["second"] * 4

    run(inside)
