"""Pipelines as services of a hub: they come, change and go with the table of deployments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from portico.cli.hub_services import HubServices, hub_services
from portico.functions.signature import typed_function
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.deployments import Deployments
from portico.provider.options import Options
from tests.in_process import ADDRESS, HereHub, a_hub
from tests.models.visitor import visit
from tests.waiting import until


class Wrapper:
    def __init__(self, says: str) -> None:
        self.says = says

    def run_api(self, question: str) -> str:
        return f"{self.says} {question}"

    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Iterator[str]:
        yield self.says


def deployment(name: str, says: str = "meow", *, chat: bool = True) -> Deployment:
    wrapper = Wrapper(says)
    api = typed_function(wrapper.run_api, name)
    return Deployment(
        name=name,
        pipeline=None,
        wrapper=wrapper,
        source=Source(kind="object"),
        api=api,
        chat=wrapper.run_chat_completion if chat else None,
    )


@asynccontextmanager
async def followed(table: Deployments, **options: Any) -> AsyncIterator[tuple[HereHub, HubServices, list[str]]]:
    said: list[str] = []
    async with (
        a_hub() as hub,
        hub_services(table, ADDRESS, options=Options(**options), dial=hub.dial, say=said.append) as services,
    ):
        await services.settled.wait()
        yield hub, services, said


async def settled(services: HubServices) -> None:
    """Wait until the hub has what the table has."""
    await asyncio.sleep(0)  # the follower's turn, to see that there is something to do
    async with asyncio.timeout(10):
        await services.settled.wait()


def described(hub: HereHub, name: str) -> Any:
    return hub.registry.services[name].descriptor


def test_each_is_a_service_with_its_model_and_its_tool() -> None:
    async def main() -> None:
        table = Deployments()
        table.add(deployment("chat_with_website"))
        table.add(deployment("plain", chat=False))
        async with followed(table) as (hub, services, said):
            assert sorted(hub.registry.services) == ["chat-with-website", "plain"]
            one = described(hub, "chat-with-website")
            assert (one.kind, one.models, one.tools.names) == (
                "pipeline",
                ("chat_with_website",),
                ("chat_with_website",),
            )
            assert one.access == "private"
            assert described(hub, "plain").models == ()
            assert said == [f"{name}: {service.url}" for name, service in services.services.items()]

    asyncio.run(main())


def test_they_follow_what_is_deployed() -> None:
    async def main() -> None:
        table = Deployments()
        async with followed(table) as (hub, services, _):
            table.add(deployment("one"))
            await settled(services)
            assert list(hub.registry.services) == ["one"]
            before = described(hub, "one").tools
            app = services.services["one"].app
            table.add(deployment("one", "woof", chat=False), replace=True)
            await settled(services)
            assert services.services["one"].app is app, "agents and stored responses go on"
            assert described(hub, "one").models == ()
            assert described(hub, "one").tools == before
            table.remove("one")
            await settled(services)
            assert list(hub.registry.services) == []

    asyncio.run(main())


def test_a_name_that_another_has_is_said_and_keeps_none_of_the_rest() -> None:
    async def main() -> None:
        table = Deployments()
        table.add(deployment("my_pipe"))
        table.add(deployment("my-pipe"))
        table.add(deployment("a_name_that_is_longer_than_thirty_letters"))
        table.add(deployment("a_name_that_is_longer_than_thirty_letters_too"))
        async with followed(table) as (hub, _, said):
            assert sorted(hub.registry.services) == [
                "a-name-that-is-longer-than-t-2",
                "a-name-that-is-longer-than-thi",
                "my-pipe",
                "my-pipe-2",
            ]
            assert len(said) == 4
            other: list[str] = []
            second = Deployments()
            second.add(deployment("my_pipe"))
            second.add(deployment("other"))
            async with hub_services(second, ADDRESS, dial=hub.dial, say=other.append) as services:
                await settled(services)
                assert [text for text in other if "my_pipe is no service" in text], other
                assert "other" in services.services

    asyncio.run(main())


def test_what_a_pipeline_raises_is_in_the_servers_own_log(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Wrapper):
        def run_api(self, question: str) -> str:
            raise LookupError("no such page")

    async def main() -> None:
        one = Fails("")
        table = Deployments()
        api = typed_function(one.run_api, "fails")
        table.add(Deployment(name="fails", pipeline=None, wrapper=one, source=Source(kind="object"), api=api))
        async with followed(table) as (_, services, _):
            app = services.services["fails"].app
            answer = await visit(app, "POST", "/run", {"question": "x"}, headers={"content-type": "application/json"})
            assert (answer.status, len(services.services["fails"].log)) == (500, 1)

    asyncio.run(main())
    assert "no such page" in caplog.text


def test_a_hub_that_is_away_at_first_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico.provider.provider._PUBLISH_WITHIN", 0.2)

    async def main() -> None:
        table, said = Deployments(), []
        table.add(deployment("one"))
        async with a_hub() as hub:
            hub.away = OSError("nobody listens")
            async with hub_services(table, ADDRESS, dial=hub.dial, say=said.append, again=0.05) as services:
                await settled(services)
                assert services.services == {}
                assert "It is tried again in 0.05 s" in said[0]
                hub.away = None
                await until(lambda: "one" in hub.registry.services)

    asyncio.run(main())


def test_what_was_refused_is_tried_when_it_is_deployed_anew() -> None:
    async def main() -> None:
        table, blocker = Deployments(), Deployments()
        blocker.add(deployment("taken"))
        async with followed(blocker) as (hub, holding, _):
            said: list[str] = []
            table.add(deployment("taken"))
            async with hub_services(table, ADDRESS, dial=hub.dial, say=said.append) as services:
                await settled(services)
                assert services.services == {}
                blocker.remove("taken")
                await settled(holding)
                table.add(deployment("taken"), replace=True)
                await settled(services)
                assert list(services.services) == ["taken"], said

    asyncio.run(main())
