"""A stored response is found by the tag in its id, and by nothing else where replicas say tags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.hub.models.stored import holder, tag_of
from portico.models import ChatServer, chat_server
from tests.hub.models.test_base import a_response, answering, ask, begin, cat, request_for
from tests.in_process import HereHub, Publisher, a_hub
from tests.transports.recorder import run
from tests.waiting import until

UNKNOWN = "resp_0123456789ab_" + "0" * 24


class Farm:
    """Services of one model each, `cat0` and so on, every one in a kernel of its own."""

    def __init__(self, hub: HereHub) -> None:
        self.hub = hub
        self.servers: list[ChatServer] = []
        self.kernels: list[Publisher] = []

    async def add(self, name: str = "", server: ChatServer | None = None, **more: Any) -> Publisher:
        number = len(self.servers)
        server = server or chat_server({f"cat{number}": cat})
        kernel = await self.hub.kernel(f"k{number}").connect()
        told = {"models": server.model_ids, "tag": server.tag} | more
        assert (await kernel.register(name or f"cat{number}", server, **told)).ok
        self.servers.append(server)
        self.kernels.append(kernel)
        return kernel

    @property
    def asked(self) -> list[int]:
        """How many requests each replica has had."""
        return [replica.requests for service in self.hub.registry.services.values() for replica in service.replicas]


def with_farm(work: Callable[[HereHub, Farm], Awaitable[None]], services: int = 3) -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            farm = Farm(hub)
            for _ in range(services):
                await farm.add()
            await work(hub, farm)

    run(inside)


def test_whoever_made_it_is_asked_and_nobody_else() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        made = [await a_response(hub, f"cat{number}") for number in range(3)]
        assert [tag_of(id) for id in made] == [server.tag for server in farm.servers]
        assert farm.asked == [1, 1, 1]
        for turn, method in ((2, "GET"), (3, "HEAD"), (4, "DELETE")):
            for id in made:
                assert (await ask(hub, f"responses/{id}", method)).status == 200
            assert farm.asked == [turn] * 3
        for id in made:
            gone = await ask(hub, f"responses/{id}")
            assert (gone.status, gone.code) == (404, "response_not_found")
        assert farm.asked == [5, 5, 5]

    with_farm(work)


@pytest.mark.parametrize("what", ["", "/input_items", "/cancel"])
def test_all_that_is_asked_of_a_response_goes_there(what: str) -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        made = await a_response(hub, "cat1")
        assert (await ask(hub, f"responses/{made}{what}", "POST" if what == "/cancel" else "GET")).status == 200
        assert farm.asked == [0, 2, 0]

    with_farm(work)


def test_a_tag_that_nobody_says_asks_nobody() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        for id in (UNKNOWN, UNKNOWN[:-1], f"resp_{'z' * 32}_x"):
            answer = await ask(hub, f"responses/{id}")
            assert (answer.status, answer.code) == (404, "response_not_found")
        assert farm.asked == [0, 0, 0]

    with_farm(work)


@pytest.mark.parametrize("id", ["resp_any", "resp_0123456789abcdef01234567", "resp_short_x", f"resp_{'z' * 33}_x", "x"])
def test_an_id_without_a_tag_is_asked_of_everybody(id: str) -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        assert (await ask(hub, f"responses/{id}")).status == 404
        assert farm.asked == [1, 1, 1]

    with_farm(work)


def test_who_says_no_tag_may_have_what_nobody_says_to_have() -> None:
    """Another server of the API has ids of its own making, some of which look as if they had a tag."""

    async def work(hub: HereHub, farm: Farm) -> None:
        kernel = await hub.kernel("other").connect()
        assert (await kernel.register("other", answering(200, b'{"of": "another"}'), models=["dog"])).ok
        assert (await ask(hub, f"responses/{UNKNOWN}")).json() == {"of": "another"}
        assert farm.asked == [0, 0, 0, 1]
        made = await a_response(hub, "cat0")
        assert (await ask(hub, f"responses/{made}")).json()["id"] == made
        assert farm.asked == [2, 0, 0, 1]

    with_farm(work)


def test_one_that_is_away_is_waited_for_by_who_comes_again() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        made = await a_response(hub, "cat2")
        await farm.kernels[2].cut()
        away = await ask(hub, f"responses/{made}")
        assert (away.status, away.code) == (503, "response_unavailable")
        await farm.kernels[2].connect()
        assert (await ask(hub, f"responses/{made}")).status == 200, "its session has the tag still"
        assert farm.asked == [0, 0, 2]

    with_farm(work)


def test_the_tag_of_a_service_that_is_not_the_callers_is_as_good_as_unknown() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        made = await a_response(hub, "cat0")
        key, _ = await hub.keys.mint(["cat1"], 3600.0)
        headers = [(b"authorization", b"Bearer " + key.encode())]
        _, visit = await begin(hub, request_for(f"responses/{made}", headers=headers))
        await until(lambda: visit.done)
        assert (visit.status, visit.code) == (404, "response_not_found")
        assert farm.asked == [1, 0, 0]

    with_farm(work)


def test_replicas_and_services_of_one_store_are_asked_in_turn() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        await farm.add("cat0", chat_server({"cat0": cat}), replica=True)
        made = {await a_response(hub, "cat0") for _ in range(4)}
        assert {tag_of(id) for id in made} == {farm.servers[0].tag, farm.servers[1].tag}
        for id in made:
            assert (await ask(hub, f"responses/{id}")).json()["id"] == id
        first, second = hub.registry.services["cat0"].replicas
        assert (first.requests, second.requests) == (4, 4)
        # the same server under another name says the same tag, and has the same responses
        await farm.add("again", farm.servers[0], models=["again"])
        for id in made:
            assert (await ask(hub, f"responses/{id}")).json()["id"] == id

    with_farm(work, 1)


def test_another_who_says_the_same_tag_hides_nothing() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        made = await a_response(hub, "cat0")
        thief = await hub.kernel("thief").connect()
        for status in (404, 500):
            assert (await thief.register("thief", answering(status), models=["dog"], tag=farm.servers[0].tag)).ok
            assert (await ask(hub, f"responses/{made}")).json()["id"] == made

    with_farm(work, 1)


@pytest.mark.parametrize(
    "tag", ["short", "x" * 33, "UPPERCASE", "with_underscore", "with-hyphen", "0123456\n", 12345678, None, ["a" * 12]]
)
def test_a_tag_that_no_id_could_carry_is_refused(tag: object) -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        kernel = await hub.kernel("k").connect()
        ack = await kernel.register("dog", answering(200), models=["dog"], tag=tag)
        assert (ack.ok, ack.code) == (False, "invalid_option")
        assert "tag" in ack.error

    with_farm(work, 0)


def test_a_replica_that_can_be_asked_comes_before_one_that_cannot() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        await farm.add("cat0", farm.servers[0], replica=True)
        service = hub.registry.services["cat0"]
        first, second = service.replicas
        id = farm.servers[0].tag.join(("resp_", "_x"))
        assert holder(service, id) is first
        await farm.kernels[0].cut()
        await until(lambda: not first.can_open)
        assert holder(service, id) is second
        assert holder(service, UNKNOWN) is None
        assert holder(service, "resp_any") is None

    with_farm(work, 1)
