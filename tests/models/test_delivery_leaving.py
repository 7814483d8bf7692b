"""A client that leaves, in every mode: the generator is closed within a second."""

import asyncio
import json
import threading
import time

import httpx
import pytest

from portico.models import chat_server
from tests.models.visitor import MESSAGES, scope, visit
from tests.waiting import until

WITHIN = 1.0
"""Seconds."""

BODIES = {
    "chat/completions": {"messages": MESSAGES},
    "completions": {"prompt": "x"},
    "responses": {"input": "x"},
}


class Model:
    """A model that never ends, and tells when it has begun and when it was closed."""

    def __init__(self):
        self.begun = threading.Event()
        self.closed = threading.Event()
        self.told = threading.Event()

    async def silent(self, messages):
        """Gives nothing for as long as it lives."""
        self.begun.set()
        try:
            await asyncio.sleep(3600)
            yield "never"
        finally:
            self.closed.set()

    async def talking(self, messages):
        try:
            while True:
                self.begun.set()
                yield "word "
                await asyncio.sleep(0.001)
        finally:
            self.closed.set()

    async def selfish(self, messages):
        """Never awaits anything."""
        self.begun.set()
        try:
            while True:
                yield "word "
        finally:
            self.closed.set()

    async def coroutine(self, messages):
        self.begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.closed.set()

    def on_thread(self, messages):
        try:
            while True:
                self.begun.set()
                yield "word "
                time.sleep(0.001)
        finally:
            self.closed.set()

    def on_thread_before_the_first_token(self, messages, cancel):
        self.begun.set()
        while not cancel.is_set():
            time.sleep(0.001)
        self.closed.set()
        yield "too late"

    def plain_with_cancel(self, messages, cancel):
        self.begun.set()
        while not cancel.is_set():
            time.sleep(0.001)
        self.closed.set()
        return "too late"

    async def waits_for_cancel(self, messages, cancel):
        waiting = asyncio.ensure_future(cancel.wait())
        waiting.add_done_callback(lambda _: self.told.set())
        async for word in self.talking(messages):
            yield word


ALL = [
    "silent",
    "talking",
    "selfish",
    "coroutine",
    "on_thread",
    "on_thread_before_the_first_token",
    "plain_with_cancel",
    "waits_for_cancel",
]


@pytest.mark.parametrize("path", list(BODIES))
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ALL)
def test_leaving_closes_the_generator(name, stream, path):
    source = Model()

    async def run():
        app = chat_server({"m": getattr(source, name)})
        leaving = asyncio.Event()
        body = {**BODIES[path], "stream": stream}
        task = asyncio.create_task(visit(app, "POST", f"/v1/{path}", body, leaving=leaving))
        assert await asyncio.to_thread(source.begun.wait, 5)
        left = time.monotonic()
        leaving.set()
        await asyncio.wait_for(task, 5)
        assert await asyncio.to_thread(source.closed.wait, 5)
        return time.monotonic() - left

    assert asyncio.run(run()) < WITHIN
    if name == "waits_for_cancel":
        assert source.told.is_set()


def test_the_server_that_cancels_the_app_closes_the_generator():
    source = Model()

    async def run():
        app = chat_server({"m": source.silent})
        task = asyncio.create_task(visit(app, "POST", "/v1/chat/completions", {"messages": MESSAGES}))
        assert await asyncio.to_thread(source.begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return source.closed.is_set()

    assert asyncio.run(run())


def test_a_send_that_fails_is_a_client_that_left():
    source = Model()

    async def run():
        app = chat_server({"m": source.selfish})
        sent = []

        async def receive():
            if not sent and not source.begun.is_set():
                return {
                    "type": "http.request",
                    "body": b'{"messages": [{"role":"user","content":"x"}], "stream": true}',
                }
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message):
            sent.append(message)
            if len(sent) == 5:
                raise OSError("gone")

        await app(scope("POST", "/v1/chat/completions"), receive, send)
        return len(sent)

    assert asyncio.run(run()) == 5
    assert source.closed.is_set()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["silent", "talking", "selfish", "on_thread"])
def test_leaving_a_real_server(serve, name, stream):
    """Once the model has begun; where it streams words, once some have come."""
    source = Model()
    url = f"{serve(chat_server({'m': getattr(source, name)}))}/v1/chat/completions"

    async def run():
        came = asyncio.Event()

        async def ask(client):
            async with client.stream("POST", url, json={"messages": MESSAGES, "stream": stream}) as answer:
                async for piece in answer.aiter_bytes():
                    if b"word" in piece:
                        came.set()

        async with httpx.AsyncClient(timeout=30) as client:
            task = asyncio.create_task(ask(client))
            assert await asyncio.to_thread(source.begun.wait, 5)
            if stream and name != "silent":
                await asyncio.wait_for(came.wait(), 5)
            left = time.monotonic()
            task.cancel()
            await asyncio.wait([task])
        assert await asyncio.to_thread(source.closed.wait, 5)
        return time.monotonic() - left

    assert asyncio.run(run()) < WITHIN


def test_a_slow_client_holds_the_model_back():
    """While another, who reads, is given many times as much."""

    def counted(count):
        def eager(messages):
            while True:
                count.append(1)
                yield "word "

        return eager

    async def run():
        slow, quick = [], []
        app = chat_server({"slow": counted(slow), "quick": counted(quick)})
        taken = 0
        gate = asyncio.Event()
        asked = False

        async def receive():
            nonlocal asked
            if not asked:
                asked = True
                body = {"model": "slow", "messages": MESSAGES, "stream": True}
                return {"type": "http.request", "body": json.dumps(body).encode()}
            await gate.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            nonlocal taken
            taken += 1
            if taken == 100:
                await gate.wait()

        task = asyncio.create_task(app(scope("POST", "/v1/chat/completions"), receive, send))
        await until(lambda: taken == 100)
        body = {"model": "quick", "messages": MESSAGES, "stream": True}
        await visit(app, "POST", "/v1/chat/completions", body, leave=lambda _: len(quick) > 3000)
        ahead = len(slow) - taken
        gate.set()
        await task
        return ahead

    assert asyncio.run(run()) < 200
