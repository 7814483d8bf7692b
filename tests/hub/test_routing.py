"""Which replica gets a request: the policy by its name, which sees the request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from portico.errors import Refused
from portico.hub import routing
from portico.hub.config import HubConfig
from portico.hub.registry import Registry
from portico.hub.replicas import PublishedService, Replica
from portico.hub.request import VisitorRequest
from portico.hub.routing import least_busy, pick
from tests.in_process import HereHub, Publisher, a_hub, a_request, echo
from tests.waiting import until

REQUEST = a_request("cat/")


def with_replicas(
    work: Callable[[HereHub, list[Publisher], PublishedService], Awaitable[None]], count: int = 3
) -> None:
    async def inside() -> None:
        async with a_hub() as hub:
            kernels = [await hub.kernel(f"k{number}").connect() for number in range(count)]
            for kernel in kernels:
                assert (await kernel.register("cat", echo, replica=kernel is not kernels[0])).ok
            await work(hub, kernels, hub.registry.services["cat"])

    asyncio.run(inside())


def test_least_busy_takes_turns_and_evens_out() -> None:
    async def work(hub: HereHub, kernels: list[Publisher], service: PublishedService) -> None:
        first, second, third = service.replicas
        first.last_turn, second.last_turn, third.last_turn = 3, 1, 2
        assert pick(service, REQUEST) is second
        assert pick(service, REQUEST, second) is third
        second.in_flight = third.in_flight = 1
        assert pick(service, REQUEST) is first
        first.in_flight = 2
        assert pick(service, REQUEST) is second

    with_replicas(work)


def test_least_busy_leaves_out_who_can_take_nothing() -> None:
    async def work(hub: HereHub, kernels: list[Publisher], service: PublishedService) -> None:
        first, second = service.replicas
        hub.registry.stalled(first.session, True)
        second.in_flight = 100
        assert pick(service, REQUEST) is second, "a stalled one only if all are"
        hub.registry.stalled(second.session, True)
        assert pick(service, REQUEST) is first
        await kernels[0].cut()
        await until(lambda: not first.can_open)
        assert pick(service, REQUEST) is second
        assert pick(service, REQUEST, second) is None
        await kernels[1].cut()
        await until(lambda: not second.can_open)
        assert pick(service, REQUEST) is None

    with_replicas(work, 2)


def test_a_service_is_routed_by_the_policy_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_path(replicas: Sequence[Replica], request: VisitorRequest, without: Replica | None) -> Replica | None:
        number = int(request.target.rpartition(b"/")[2])
        return next((replica for replica in replicas[number:] if replica is not without), None)

    monkeypatch.setitem(routing.POLICIES, "by-path", by_path)

    async def work(hub: HereHub, kernels: list[Publisher], service: PublishedService) -> None:
        for kernel in kernels:
            assert (await kernel.register("cat", echo, replica=True, routing="by-path")).ok
        for number in (2, 0, 1):
            assert pick(service, a_request(f"cat/{number}")) is service.replicas[number]
        assert pick(service, a_request("cat/1"), service.replicas[1]) is service.replicas[2]

    with_replicas(work)


def test_the_hub_says_which_policy_there_is_where_a_service_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(routing.POLICIES, "last", lambda replicas, request, without: replicas[-1])

    async def inside() -> None:
        async with a_hub(HubConfig(routing="last")) as hub:
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", echo)).ok
            assert (await kernel.register("dog", echo, routing="least-busy")).ok
            services = hub.registry.services
            assert [services[name].descriptor.routing for name in ("cat", "dog")] == ["last", "least-busy"]

    asyncio.run(inside())


@pytest.mark.parametrize("name", ["", "most-busy", "Least-Busy", "x" * 51, 5, None, ["least-busy"]])
def test_a_policy_that_there_is_not_is_refused_and_those_that_there_are_are_named(name: object) -> None:
    async def work(hub: HereHub, kernels: list[Publisher], service: PublishedService) -> None:
        ack = await kernels[0].register("dog", echo, routing=name)
        assert (ack.ok, ack.code) == (False, "invalid_option")
        assert "dog" not in hub.registry.services
        if isinstance(name, str) and len(name) <= 50:
            assert "least-busy" in ack.error
        ack = await kernels[0].register("cat", echo, routing=name)
        assert not ack.ok
        assert service.descriptor.routing == "least-busy"

    with_replicas(work, 1)


def test_a_hub_that_is_set_to_no_policy_does_not_start() -> None:
    with pytest.raises(Refused, match=r"no routing policy 'most-busy'.*least-busy"):
        Registry(HubConfig(routing="most-busy"))


def test_each_policy_of_the_table_leaves_out_who_refused() -> None:
    async def work(hub: HereHub, kernels: list[Publisher], service: PublishedService) -> None:
        for name, policy in routing.POLICIES.items():
            for replica in service.replicas:
                found = policy(service.replicas, REQUEST, replica)
                assert found in service.replicas, name
                assert found is not replica, name
        assert routing.POLICIES["least-busy"] is least_busy

    with_replicas(work)
