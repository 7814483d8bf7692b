"""`connect_to_server`, over the in-memory pair: what a relay's answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import portico
from portico.errors import InvalidName, InvalidOption, LinkClosed, NotServable, Refused
from portico.provider.connect import Server, context_of, open_server
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.thread import LoopThread
from tests.in_process import ADDRESS, SOON, HereHub, a_hub
from tests.provider.published import saying
from tests.transports.recorder import run
from tests.waiting import until


@asynccontextmanager
async def relay() -> AsyncIterator[tuple[HereHub, Server]]:
    async with a_hub(SOON) as hub:
        hub.welcome |= {"workspace": "cats", "public_base_url": "https://share.test/", "user": {"id": "ada"}}
        provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
        async with await open_server(provider, ADDRESS, "My Client") as server:
            yield hub, server
        await until(lambda: hub.links.count == 0)


def test_what_a_server_tells_of_itself() -> None:
    async def work() -> None:
        async with relay() as (_, server):
            config = server.config
            assert (config.public_base_url, config["workspace"]) == ("https://share.test", "cats")
            assert (config.user.id, config.client_id, config.hub) == ("ada", "my-client", "relay")
            with pytest.raises(AttributeError, match="public_base_url"):
                _ = config.public_url

    run(work)


def test_registered_described_and_taken_down() -> None:
    async def work() -> None:
        async with relay() as (hub, server):
            info = await server.register_service({"id": "cat", "name": "Cat", "type": "asgi", "serve": saying(b"miau")})
            assert info["id"] == "cats/my-client:cat"
            assert info["id"].split(":")[1] == "cat"
            assert (info.name, info.url) == ("Cat", "http://hub.example:8888/portico/apps/cat/")
            visit = hub.ask("cat")
            assert (await visit.ended, visit.body) == ("whole", b"miau")
            assert hub.registry.services["cat"].descriptor.access == "private"
            await server.unregister_service(info.id)
            assert hub.names == set()
            assert hub.links.count == 1, "the server stays, for what may be registered next"
            with pytest.raises(InvalidName, match="has none"):
                await server.unregister_service("cat")

    run(work)


def test_a_function_that_is_given_the_three_in_one_dict() -> None:
    async def work() -> None:
        seen: list[Any] = []

        async def serve(args: Any, context: Any = None) -> None:
            seen.append((args["scope"]["type"], context))
            await saying(b"through")(args["scope"], args["receive"], args["send"])

        async with relay() as (hub, server):
            config = {"visibility": "public", "require_context": True}
            await server.register_service({"id": "cat", "type": "asgi", "serve": serve, "config": config})
            assert hub.registry.services["cat"].descriptor.access == "public"
            visit = hub.ask("cat")
            assert (await visit.ended, visit.body) == ("whole", b"through")
            await server.register_service({"id": "cat", "serve": lambda args: serve(args)})
            assert await hub.ask("cat").ended == "whole"
        anonymous = {"id": "anonymous", "email": "", "is_anonymous": True, "scopes": []}
        assert seen == [("http", {"user": anonymous, "ws": "cats"}), ("http", None)]

    run(work)


def test_functions_are_served_too() -> None:
    async def work() -> None:
        async with relay() as (hub, server):
            await server.register_service({"id": "f", "type": "functions", "index": lambda event: "home"})
            visit = hub.ask("f")
            assert (await visit.ended, visit.body) == ("whole", b"home")

    run(work)


@pytest.mark.parametrize(
    ("service", "error", "says"),
    [
        ({"id": "x", "type": "generic", "add": max}, NotServable, "called over the web"),
        ({"id": "x", "type": "asgi"}, NotServable, 'under "serve"'),
        ({"id": "x", "type": "functions"}, NotServable, "at least one function"),
        ({"type": "functions", "index": max}, InvalidName, "needs an 'id'"),
        ({"id": "My Cat", "serve": saying(b"")}, InvalidName, "Try 'my-cat'"),
        ({"id": "x", "serve": saying(b""), "config": {"visibilty": "public"}}, InvalidOption, "known are: visibility"),
        ({"id": "x", "serve": saying(b""), "config": {"visibility": "unlisted"}}, InvalidOption, "public or protected"),
    ],
)
def test_what_cannot_be_registered(service: dict[str, Any], error: type[Exception], says: str) -> None:
    async def work() -> None:
        async with relay() as (hub, server):
            with pytest.raises(error, match=says):
                await server.register_service(service)
            assert hub.names == set()

    run(work)


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        ({"access": "anonymous"}, {"id": "anonymous", "is_anonymous": True}),
        ({"access": "key", "key_id": "k1"}, {"id": "key:k1", "is_anonymous": False}),
        ({"access": "user", "user": {"id": "ada", "name": "Ada"}}, {"id": "ada", "name": "Ada", "is_anonymous": False}),
        (
            {"access": "user", "user": {"id": "ada", "email": "a@b.c", "scopes": ["x"]}},
            {"email": "a@b.c", "scopes": ["x"]},
        ),
    ],
)
def test_who_calls(identity: dict[str, Any], user: dict[str, Any]) -> None:
    told = context_of({"extensions": {"portico": identity}}, "cats")
    assert told["ws"] == "cats"
    assert user.items() <= told["user"].items()
    assert {"id", "email", "is_anonymous", "scopes"} <= set(told["user"])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"server": "https://share.test"}, "known are: server_url"),
        ({"webrtc": True}, "HTTP and WebSocket"),
        ({"server_url": "share.test"}, "is no hub's URL"),
    ],
)
def test_what_is_no_configuration(config: dict[str, Any], says: str) -> None:
    async def work() -> None:
        with pytest.raises(InvalidOption, match=says):
            await portico.connect_to_server(config)

    run(work)


def test_a_hub_that_refuses_is_told_at_once_and_leaves_nothing_behind() -> None:
    async def work() -> None:
        async with a_hub() as hub:
            provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            with pytest.raises(Refused, match="no provider's token"):
                await open_server(provider, HubAddress(ADDRESS.url, "bad", "the test"))
            assert provider.sessions == {}
            assert hub.shown == ["bad"]

    run(work)


def test_serve_lasts_until_the_end() -> None:
    async def work() -> None:
        async with relay() as (hub, server):
            serving = asyncio.ensure_future(server.serve())
            await server.register_service({"id": "cat", "serve": saying(b"")})
            hub.cut()
            await until(lambda: server.services["cat"].status == "reconnecting")
            await until(lambda: server.services["cat"].status == "live")
            assert not serving.done()
            await server.disconnect()
            await serving

    run(work)


def test_cancelled_an_app_shuts_down() -> None:
    async def work() -> None:
        async with relay() as (_, server):
            ended: list[bytes] = []
            await server.register_service({"id": "cat", "serve": saying(b"cat", ended)})
            serving = asyncio.ensure_future(server.serve())
            await asyncio.sleep(0)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert ended == [b"cat"]

    run(work)


def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with a_hub() as hub:
            hub.away = LinkClosed("https://share.test/ cannot be reached")
            provider = Provider(dial=hub.dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            with pytest.raises(LinkClosed, match="cannot be reached"):
                await provider.connect(ADDRESS, 0.5)
            assert hub.dialled > 1
            assert provider.sessions == {}

    run(work)
    assert caplog.messages == ["https://share.test/ cannot be reached. It is tried again."], "once, after the first try"
