"""A cancelling is never lost, in whichever turn of the loop it comes: Ctrl-C in `asyncio.run` is one.

In Python 3.11 `asyncio.wait_for` loses one that comes between the end of what it waits for and its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from portico.asgi.instance import Instance
from portico.hub.config import HubConfig
from portico.protocol.events import Ack
from portico.provider.discovery import HubAddress
from portico.provider.registrations import Registrations
from portico.provider.session import HubSession
from tests.in_process import Received, a_hub, a_request
from tests.transports.recorder import run

Waiting = tuple[Coroutine[Any, Any, Any], Callable[[], Any]]
"""What waits, and what ends its wait."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("no lifespan, and no visitors")


def a_session() -> HubSession:
    return HubSession(_Owner(), HubAddress("http://127.0.0.1:9/", "", "test"), {})  # type: ignore[arg-type]


class _Owner:
    def session_changed(self, session: HubSession) -> None: ...


async def linking() -> Waiting:
    session = a_session()
    return session.linked(), lambda: session._set_status("linked")


async def asking() -> Waiting:
    asked = Registrations(a_session(), _Owner(), ())  # type: ignore[arg-type]
    waiting = asked.ask(_Link(), lambda number: None)  # type: ignore[arg-type]
    return waiting, lambda: asked.answered(Ack(request=1, ok=True))


class _Link:
    def flush_soon(self) -> None: ...


async def retiring() -> Waiting:
    instance = Instance(app, lambda doing, error: None)
    instance._idle.clear()
    return instance.retire(), instance._idle.set


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("waits", [linking, asking, retiring])
def test_a_cancelling_in_the_turn_in_which_the_wait_ends(
    waits: Callable[[], Coroutine[Any, Any, Waiting]], turns: int
) -> None:
    async def inside() -> None:
        waiting, end = await waits()
        task = asyncio.create_task(waiting)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()
        end()
        for _ in range(turns):
            await asyncio.sleep(0)
        taken = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is taken

    run(inside)


@pytest.mark.parametrize("turns", range(6))
def test_a_visitor_who_leaves_in_the_turn_in_which_the_provider_is_back(turns: int) -> None:
    async def inside() -> None:
        async with a_hub(HubConfig(kernel_poll=0.01)) as hub:
            kernel = await hub.kernel().connect()
            assert (await kernel.register("cat", app, access="public")).ok
            service = hub.registry.services["cat"]
            await kernel.cut()
            task = asyncio.create_task(hub.open(a_request("cat/"), Received()))
            while not service.waiting:  # noqa: ASYNC110 -- some turns of the loop
                await asyncio.sleep(0)
            service.wake()
            for _ in range(turns):
                await asyncio.sleep(0)
            assert task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert service.waiting == 0

    run(inside)
