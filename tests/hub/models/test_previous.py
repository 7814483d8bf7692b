"""A request that goes on from a stored response goes to the replica that has it, wherever the body says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portico.hub import held_bodies
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.hub.models.previous import keep_their_own
from portico.models import chat_server
from tests.hub.models.test_base import dial, request_for, say
from tests.hub.models.test_stored import Farm
from tests.in_process import HereHub, Received, a_hub
from tests.transports.recorder import run
from tests.waiting import until

TWINS = 3


def twin(messages: Any) -> str:
    return " ".join(message["content"] for message in messages)


def with_twins(work: Callable[[HereHub, Farm], Awaitable[None]], twins: int = TWINS) -> None:
    """Run *work* with one service of several replicas, each with a store of its own."""

    async def inside() -> None:
        async with a_hub() as hub:
            farm = Farm(hub)
            for number in range(twins):
                await farm.add("twins", chat_server({"twin": twin}), replica=number > 0)
            await work(hub, farm)

    run(inside)


async def post(hub: HereHub, body: bytes, piece: int = 1 << 20, path: str = "responses") -> Received:
    visit = Received()
    exchange = ModelsExchange(
        AllModels(hub.gateway, hub.registry, "/portico/v1"), request_for(path, "POST"), visit, fin=False
    )
    assert await exchange.start()
    for start in range(0, len(body), piece):
        wait = exchange.upload(body[start : start + piece])
        if wait is not None:
            await wait
    exchange.upload_done()
    await until(lambda: visit.done)
    return visit


async def a_response(hub: HereHub, text: str) -> str:
    made = await post(hub, json.dumps({"model": "twin", "input": text}).encode())
    assert made.status == 200, made.body
    return str(made.json()["id"])


async def completed(visit: Received) -> None:
    await until(lambda: any(b'"response.completed"' in message for message in visit.messages))


def bodies(previous: str) -> dict[str, bytes]:
    """The same request as several clients write it."""
    fields: dict[str, Any] = {"model": "twin", "input": "more", "previous_response_id": previous}
    orders = [["model", "input", "previous_response_id"], ["previous_response_id", "model", "input"]]
    orders += [["input", "previous_response_id", "model"], ["input", "model", "previous_response_id"]]
    made = {" ".join(order): json.dumps({name: fields[name] for name in order}).encode() for order in orders}
    made["indented"] = json.dumps(fields, indent=4).encode()
    made["an inner one"] = json.dumps({"model": "twin", "metadata": {"previous_response_id": "x"}} | fields).encode()
    return made


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_it_goes_to_who_has_the_response(piece: int) -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        for number in range(TWINS):
            previous = await a_response(hub, f"one{number}")
            for how, body in bodies(previous).items():
                answer = await post(hub, body, piece)
                assert answer.status == 200, (how, answer.body)
                assert answer.json()["output"][0]["content"][0]["text"] == f"one{number} one{number} more", how

    with_twins(work)


@pytest.mark.parametrize(
    "more",
    [
        b"", b'"previous_response_id": null', b'"previous_response_id": "resp_of_nobody"',
        b'"previous_response_id": "resp_0123456789ab_00"', b'"previous_response_id": {"a": 1}',
        b'"previous_response_id": ""', b'"previous_response_id": "' + b"x" * 10_000 + b'"',
    ],
)  # fmt: skip
def test_without_one_that_is_known_any_replica_gets_it(more: bytes) -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        body = b'{"model": "twin", "input": "hi"' + (b", " + more if more else b"") + b"}"
        for _ in range(TWINS):
            assert (await post(hub, body)).status in ((200,) if not more or b"null" in more else (200, 400, 404))
        assert farm.asked == [1] * TWINS, "each has had its turn"

    with_twins(work)


def test_a_body_that_ends_too_early_is_for_the_service_to_judge() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        answer = await post(hub, b'{"model": "twin", "input": "hi"')
        assert answer.status == 400
        assert sum(farm.asked) == 1

    with_twins(work)


def test_one_whose_replica_is_away_is_not_answered_by_another() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        previous = await a_response(hub, "one")
        replicas = hub.registry.services["twins"].replicas
        number = next(number for number, replica in enumerate(replicas) if replica.requests)
        await farm.kernels[number].cut()
        body = bodies(previous)["indented"]
        away = await post(hub, body)
        assert (away.status, away.code) == (503, "response_unavailable")
        assert away.header(b"retry-after") == [b"5"]
        assert sum(farm.asked) == 1
        await farm.kernels[number].connect()
        assert (await post(hub, body)).status == 200

    with_twins(work)


def test_a_body_that_is_too_long_to_be_held_goes_to_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_bodies, "MOST_OF_A_BODY", 100_000)

    async def work(hub: HereHub, farm: Farm) -> None:
        long = json.dumps({"model": "twin", "input": "x" * 300_000}).encode()
        answer = await post(hub, long, 10_000)
        assert answer.status == 200
        assert answer.json()["output"][0]["content"][0]["text"].endswith("x" * 300_000)

    with_twins(work)


def test_nothing_waits_where_it_makes_no_difference() -> None:
    """One replica alone, several of one store, and other routes: the body is passed on as it comes."""

    async def work(hub: HereHub, farm: Farm) -> None:
        service = hub.registry.services["twins"]
        assert not keep_their_own(service)
        await farm.add("twins", farm.servers[0], replica=True)
        assert not keep_their_own(service)
        visit = Received()
        exchange = ModelsExchange(
            AllModels(hub.gateway, hub.registry, "/portico/v1"), request_for("responses", "POST"), visit, fin=False
        )
        assert await exchange.start()
        wait = exchange.upload(b'{"model": "twin", ')
        assert wait is not None
        await wait
        assert sum(farm.asked) == 1, "it is on its way before its end has come"
        exchange.upload(b'"input": "hi"}')
        exchange.upload_done()
        await until(lambda: visit.done)
        assert visit.status == 200
        await farm.add("twins", chat_server({"twin": twin}), replica=True)
        assert keep_their_own(service)
        chat = ModelsExchange(
            AllModels(hub.gateway, hub.registry, "/portico/v1"),
            request_for("chat/completions", "POST"),
            Received(),
            fin=False,
        )
        assert await chat.start()
        assert chat.upload(b'{"model": "twin", ') is not None
        await asyncio.sleep(0)
        chat.visitor_left()

    with_twins(work, 1)


def test_who_leaves_while_it_is_looked_for_is_forgotten() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        all_models = AllModels(hub.gateway, hub.registry, "/portico/v1")
        exchange = ModelsExchange(all_models, request_for("responses", "POST"), Received(), fin=False)
        assert await exchange.start()
        assert exchange.upload(b'{"model": "twin", "input": "') is None
        for _ in range(20):
            assert exchange.upload(b"x" * 10_000) is None
        assert all_models.held.total > 0
        exchange.visitor_left()
        assert exchange.upload(b"x") is None
        exchange.upload_done()
        assert (all_models.held.total, sum(farm.asked)) == (0, 0)

    with_twins(work)


def test_a_websocket_goes_to_who_has_the_response() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        for number in range(TWINS):
            previous = await a_response(hub, f"one{number}")
            socket, visit = await dial(hub)
            await say(socket, model="twin", previous_response_id=previous)
            await completed(visit)
            assert f"one{number} one{number} hi".encode() in visit.messages[-1]
            socket.visitor_closed(1000, "")

    with_twins(work)


def test_a_websocket_whose_replica_is_away_hears_so_and_may_try_again() -> None:
    async def work(hub: HereHub, farm: Farm) -> None:
        previous = await a_response(hub, "one")
        replicas = hub.registry.services["twins"].replicas
        number = next(number for number, replica in enumerate(replicas) if replica.requests)
        await farm.kernels[number].cut()
        socket, visit = await dial(hub)
        await say(socket, model="twin", previous_response_id=previous)
        await until(lambda: visit.messages)
        event = json.loads(visit.messages[0])
        assert (event["status"], event["error"]["code"]) == (503, "response_unavailable")
        await farm.kernels[number].connect()
        await say(socket, model="twin", previous_response_id=previous)
        await completed(visit)
        socket.visitor_closed(1000, "")

    with_twins(work)
