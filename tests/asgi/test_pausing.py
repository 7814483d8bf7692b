"""Several tasks of one app that send and receive at a time: what each sends stays together, and none waits for ever."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from portico.asgi.http import YIELD_SECONDS
from portico.asgi.pausing import Pausing
from portico.types import Message, Receive, Scope, Send
from tests.asgi.served import KIB, WINDOW, Served, serving
from tests.asgi.test_http import START, body
from tests.transports.recorder import run
from tests.waiting import turns, until

ACCEPT = {"type": "websocket.accept"}


def text(value: str) -> Message:
    return {"type": "websocket.send", "text": value}


def test_messages_that_a_task_sends_in_a_row_stay_together() -> None:
    """Bokeh's server writes each of its messages as three or more, and answers beside what it sends by itself."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def in_parts(name: str) -> None:
            for part in range(3):
                await send(text(f"{name} {part}"))

        await receive()
        await send(ACCEPT)
        others = [asyncio.create_task(in_parts(f"other {number}")) for number in range(3)]
        until_then = time.monotonic() + 1.5 * YIELD_SECONDS
        while time.monotonic() < until_then:  # as code that computes: the loop has its turn at the next message
            pass
        await in_parts("first")
        await asyncio.gather(*others)
        await in_parts("last")

    async def work(served: Served) -> None:
        visitor = served.connect()
        await until(lambda: visitor.closed)
        names = ["first", "other 0", "other 1", "other 2", "last"]
        assert visitor.messages == [f"{name} {part}" for name in names for part in range(3)]

    serving(app, work)


def test_several_tasks_that_send_to_a_slow_visitor_all_go_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)

        async def flood() -> None:
            for _ in range(16):
                await send({"type": "websocket.send", "bytes": bytes(64 * KIB)})

        await asyncio.gather(*(flood() for _ in range(3)))

    async def work(served: Served) -> None:
        visitor = served.connect(consume=False)
        await until(lambda: visitor.unconsumed > WINDOW - 64 * KIB)
        await turns()
        visitor.take()
        await until(lambda: visitor.closed)
        assert len(visitor.messages) == 48

    serving(app, work)


def test_several_tasks_that_send_a_response_to_a_slow_visitor_all_go_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)

        async def flood() -> None:
            for _ in range(16):
                await send(body(bytes(64 * KIB), more=True))

        await asyncio.gather(*(flood() for _ in range(3)))
        await send(body(b""))

    async def work(served: Served) -> None:
        visitor = served.visit(consume=False)
        await until(lambda: visitor.unconsumed > WINDOW - 64 * KIB)
        await turns()
        visitor.take()
        await served.whole(visitor)
        assert len(visitor.body) == 48 * 64 * KIB

    serving(app, work)


@pytest.mark.parametrize("websocket", [False, True])
def test_several_tasks_that_receive_all_hear_of_the_end(websocket: bool) -> None:
    """Starlette listens for a disconnect beside the app, which may ask for itself and give up at once."""
    heard: list[str] = []
    ready = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT if websocket else START)

        async def listen() -> None:
            heard.append((await receive())["type"])

        listening = [asyncio.create_task(listen()) for _ in range(3)]
        await turns()
        given_up = asyncio.create_task(listen())
        await turns()
        given_up.cancel()
        await turns()
        ready.set()
        await asyncio.gather(*listening)

    async def work(served: Served) -> None:
        visitor = served.connect() if websocket else served.visit()
        await ready.wait()
        served.leave(visitor)
        await served.over()

    served = serving(app, work, cancel_after=60.0, cancel_told_after=60.0)
    assert heard == ["websocket.disconnect" if websocket else "http.disconnect"] * 3
    assert served.apps.reports == []


def test_who_gives_up_in_line_holds_nobody_up() -> None:
    async def work() -> None:
        pausing = Pausing()
        order: list[Any] = []

        async def stand(name: str) -> None:
            await pausing.over()
            order.append(name)

        waits = asyncio.create_task(pausing.until_writable())
        await turns()
        line = [asyncio.create_task(stand(name)) for name in ("a", "b", "c")]
        await turns()
        line[0].cancel()
        await turns()
        assert order == []
        pausing.writable()
        await asyncio.gather(waits, *line, return_exceptions=True)
        assert order == ["b", "c"]
        assert not pausing.on

    run(work)
