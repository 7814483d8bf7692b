"""Who listens hears of changes within a second, in both eras: of those that concern what they may see alone."""

from __future__ import annotations

import asyncio
import time

import pytest

from portico.hub.fair_use import Shares
from portico.hub.tools import events, listening
from tests.hub.tools.agents import MODERN, OLD, Agent, Reading, Toolbox, a_key, a_toolbox, ask, changes
from tests.in_process import HereHub
from tests.waiting import until

ERAS = [MODERN, OLD]


async def hears(reading: Reading, times: int) -> None:
    """Within a second it was told so often that the list has changed."""
    async with asyncio.timeout(1):
        await until(lambda: changes(reading) >= times)
    assert changes(reading) == times


async def settled(hub: HereHub) -> None:
    """All that has happened was told to those whom it concerns."""
    agent = Agent(hub)
    box = await Toolbox.link(hub, "k2")
    heard = await agent.listen("settled")
    await box.serve(f"probe{time.monotonic_ns()}"[:20], "run")
    await until(lambda: changes(heard) == 1)
    heard.leave()
    await box.kernel.cut()


@pytest.mark.parametrize("version", ERAS)
def test_services_that_come_change_and_go_are_heard_of(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            heard = await Agent(hub, version=version).listen()
            await box.serve("cats", "run")
            await hears(heard, 1)
            await box.serve("cats", "run", "walk")
            await hears(heard, 2)
            await box.kernel.unregister("cats")
            await hears(heard, 3)
            await box.serve("dogs", "run")
            await hears(heard, 4)
            await box.kernel.cut()
            await hears(heard, 5)
            assert await Agent(hub).tools() == {}
            assert not heard.done
            heard.leave()
            await until(lambda: not hub.workspace.tools.listeners)
            assert hub.workspace.tools.limits.listening.total == 0

    asyncio.run(inside())


def test_the_stream_of_2026_is_acknowledged_and_each_word_bears_its_id() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            heard = await Agent(hub).listen("mine")
            await box.serve("cats", "run")
            await hears(heard, 1)
            hub.workspace.tools.leave()
            await until(lambda: heard.done)
            first, changed, last = heard.events
            of_it = {"io.modelcontextprotocol/subscriptionId": "mine"}
            assert first["method"] == "notifications/subscriptions/acknowledged"
            assert first["params"] == {"_meta": of_it, "notifications": {"toolsListChanged": True}}
            assert changed["params"] == {"_meta": of_it}
            assert (last["id"], last["result"]) == ("mine", {"resultType": "complete", "_meta": of_it})

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_what_a_caller_does_not_see_it_does_not_hear_of(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("mine", "run", access="key")
            await box.serve("others", "run")
            await box.serve("open", "run", access="public")
            key = await a_key(hub, "mine")
            deaf = [
                await Agent(hub, key, version=version).listen(),
                await Agent(hub, None, version=version).listen(),
                await Agent(hub, version=version, query="services=cats").listen(),
            ]
            await box.serve("others", "run", "walk")
            await box.serve("others", "run", access="key")
            await box.serve("another", "run")
            await box.kernel.unregister("others")
            await box.kernel.register("app")
            await settled(hub)
            assert [changes(heard) for heard in deaf] == [0, 0, 0]
            await box.serve("mine", "walk", access="key")
            await hears(deaf[0], 1)
            await box.serve("mine", "walk", access="private")
            await settled(hub)
            assert [changes(heard) for heard in deaf] == [1, 0, 0], "its key opens it as before"
            await box.serve("open", "run")
            await hears(deaf[1], 1)
            assert not deaf[2].events[-1:] or changes(deaf[2]) == 0

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_a_key_that_is_revoked_hears_nothing_more(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("mine", "run", access="key")
            key = await a_key(hub, "mine")
            heard = await Agent(hub, key, version=version).listen()
            (known,) = hub.keys.list()
            await hub.keys.revoke(known.id)
            await box.serve("mine", "walk", access="key")
            await until(lambda: heard.done)
            assert changes(heard) == 0

    asyncio.run(inside())


def test_a_quiet_stream_gives_signs_of_life_and_ends_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("mine", "run", access="key")
            monkeypatch.setattr(listening, "BEAT_EVERY", 0.01)
            heard = await Agent(hub, await a_key(hub, "mine")).listen()
            await until(lambda: heard.body.count(events.BEAT) > 2)
            (known,) = hub.keys.list()
            await hub.keys.revoke(known.id)
            await until(lambda: heard.done)

    asyncio.run(inside())


def test_what_expires_is_heard_of() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("brief", "run", conditions={"expires": time.time() + 0.3})
            heard = await Agent(hub).listen()
            await until(lambda: changes(heard) == 1)
            assert await Agent(hub).tools() == {}

    asyncio.run(inside())


def test_a_link_that_is_back_at_once_changes_nothing() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            agent = Agent(hub, query="services=cats")
            heard = await agent.listen()
            await agent.tools()
            await box.kernel.cut()
            assert list(await agent.tools()) == ["cats__run"]
            await box.kernel.connect()
            await box.serve("cats", "run")
            await settled(hub)
            assert changes(heard) == 0
            assert list(await agent.tools()) == ["cats__run"]

    asyncio.run(inside())


@pytest.mark.parametrize("version", ERAS)
def test_streams_are_bounded_by_caller(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("mine", "run")
            key = await a_key(hub, "mine")
            hub.workspace.tools.limits.listening = Shares(2, 3)
            mine = [await Agent(hub, key, version=version).listen(f"{n}") for n in range(3)]
            assert [reading.status for reading in mine] == [200, 200, 429]
            assert mine[2].header(b"retry-after") == [b"10"]
            assert (await Agent(hub, version=version).listen()).status == 200, "another's share is its own"
            assert (await Agent(hub, version=version).listen()).status == 429, (
                "all together hold as many as there may be"
            )
            mine[0].leave()
            await until(lambda: hub.workspace.tools.limits.listening.total == 2)
            assert (await Agent(hub, version=version).listen()).status == 200

    asyncio.run(inside())


def test_what_is_not_asked_for_is_not_told() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            agent = Agent(hub)
            wanted = {"notifications": {"promptsListChanged": True}}
            heard = await agent.begin(agent.message("subscriptions/listen", wanted))
            await until(lambda: heard.status)
            assert heard.events[0]["params"]["notifications"] == {}
            await box.serve("cats", "run")
            await settled(hub)
            assert len(heard.events) == 1
            bad = await agent.ask("subscriptions/listen")
            assert bad["error"]["code"] == -32602

    asyncio.run(inside())


def test_other_methods_are_told_which_there_are() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run", access="public")
            for method, headers, status, allow in [
                ("GET", [], 406, []),
                ("GET", [(b"accept", b"text/html,*/*")], 406, []),
                ("GET", [(b"mcp-protocol-version", MODERN.encode())], 405, [b"POST, OPTIONS"]),
                ("PUT", [], 405, [b"GET, POST, DELETE, OPTIONS"]),
                ("HEAD", [], 405, [b"GET, POST, DELETE, OPTIONS"]),
                ("DELETE", [(b"mcp-protocol-version", OLD.encode())], 204, []),
                ("POST", [(b"content-type", b"text/plain")], 415, []),
                ("POST", [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")], 415, []),
                ("POST", [(b"content-type", b"application/json")], 400, []),
                ("GET", [(b"mcp-protocol-version", b"1")], 400, []),
            ]:
                reading = await ask(hub, method=method, headers=headers)
                assert (reading.status, reading.header(b"allow")) == (status, allow), (method, headers)
                if status != 204:
                    assert reading.json()["error"]["message"]
            for path in ("/portico/mcp/x", "/portico/mcpx", "/portico/mcp/.well-known/oauth-protected-resource"):
                assert (await ask(hub, path=path)).status == 404

    asyncio.run(inside())
