"""What is held of bodies that name no model is bounded, for each caller and in all, and given back however they end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from portico.hub.answers import Answer
from portico.hub.held_bodies import FREE, MOST_OF_A_BODY, HeldBodies
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.types import Headers
from tests.hub.models.test_base import OWNER, lifespan, request_for, with_hub
from tests.in_process import HereHub, Publisher, Received
from tests.waiting import until

MIB = 1 << 20
LONG = b'{"messages": [{"role": "user", "content": "' + b"x" * MIB


async def begin(
    hub: HereHub, held: HeldBodies, *, address: str = "192.0.2.7", headers: Headers | None = None
) -> tuple[ModelsExchange, Received]:
    visit = Received()
    request = request_for("chat/completions", "POST", headers=[OWNER] if headers is None else headers)
    request.request = request.request._replace(client=(address, 1))
    exchange = ModelsExchange(AllModels(hub.gateway, hub.registry, "/portico/v1", held), request, visit, fin=False)
    assert await exchange.start()
    return exchange, visit


def test_a_caller_has_a_share_and_small_bodies_pass_all_the_same() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        held = HeldBodies(4 * MIB)
        first, visit = await begin(hub, held)
        first.upload(LONG)
        assert not visit.status
        second, refused = await begin(hub, held)
        second.upload(LONG)
        assert (refused.status, refused.code) == (429, "too_much_held")
        assert int(refused.header(b"retry-after")[0]) > 0
        assert not second.uploading
        third, answered = await begin(hub, held)
        body = {"messages": [{"role": "user", "content": "hi"}], "model": "cat"}
        wait = third.upload(json.dumps(body).encode())
        assert wait is not None
        await wait
        third.upload_done()
        await until(lambda: answered.done)
        assert answered.status == 200
        first.visitor_left()
        assert held.total == 0

    with_hub(work)


def test_in_all_there_is_only_so_much() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        held = HeldBodies(4 * MIB)
        exchanges = []
        for number in range(5):  # each with a key of its own
            key, _ = await hub.keys.mint(["zoo"], 60.0)
            exchange, visit = await begin(hub, held, headers=[(b"authorization", b"Bearer " + key.encode())])
            exchange.upload(LONG[: MIB - 1])
            exchanges.append((exchange, visit))
            assert visit.status == (0 if number < 4 else 503)
        for exchange, _ in exchanges:
            exchange.visitor_left()
        assert held.total == 0

    with_hub(work)


ENDS = {
    "it is not JSON": (b'"}],}', 400),
    "it has no model": (b'"}]}', 400),
    "its model does not exist": (b'"}], "model": "nobody"}', 404),
    "the app refuses it": (b'", "role": 7}], "model": "cat"}', 400),
    "it is answered": (b'"}], "model": "cat"}', 200),
}


@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_however_a_body_ends_nothing_of_it_is_held(end: bytes, status: int) -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        held = HeldBodies(8 * MIB)
        exchange, visit = await begin(hub, held)
        exchange.upload(LONG)
        assert held.total > MIB - FREE
        wait = exchange.upload(end)
        if wait is not None:
            await wait
        exchange.upload_done()
        await until(lambda: visit.done)
        assert visit.status == status
        assert held.total == 0

    with_hub(work)


def test_what_an_app_does_not_take_is_held_still() -> None:
    async def work(hub: HereHub, kernel: Publisher) -> None:
        asked = asyncio.Event()

        async def deaf(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await lifespan(receive, send)
                return
            asked.set()
            await asyncio.Event().wait()

        assert (await kernel.register("deaf", deaf, models=["deaf"])).ok
        held = HeldBodies(64 * MIB)
        exchange, _ = await begin(hub, held)
        exchange.upload(LONG + b"x" * (7 * MIB))
        wait = exchange.upload(b'"}], "model": "deaf", "rest": "')
        assert wait is not None
        await asked.wait()
        assert held.total > 7 * MIB
        exchange.visitor_left()
        await wait
        assert held.total == 0

    with_hub(work)


def test_a_body_that_never_names_its_model_ends() -> None:
    held = HeldBodies(1 << 40).begin("x")
    held.grow(MOST_OF_A_BODY)
    with pytest.raises(Answer) as caught:
        held.grow(1)
    assert caught.value.status == 413
