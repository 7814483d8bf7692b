"""Visitors who leave a server in the middle of their streams: what runs for each ends, and for no other."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from haystack import Pipeline, component
from haystack.dataclasses import StreamingChunk

from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.deployments import Deployments
from portico.pipelines.program.app import PipelinesApp
from portico.pipelines.server.gate import Gate
from portico.pipelines.server.server import PipelinesServer
from portico.pipelines.streams.async_streaming import async_streaming_generator
from portico.pipelines.streams.sse_stream import SSEStream
from portico.pipelines.streams.streaming import streaming_generator
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.models.conftest import uvicorn_on_loopback
from tests.pipelines.haystack_parts import Step, pipeline_threads
from tests.pipelines.serving import Undeployable, wrapped

AT_ONCE = 64
PACE = 0.02  # seconds between chunks: as a fast model's
WITHIN = 3.0  # seconds: one is promised, and the machine of the tests may be busy


class Running:
    """How many runs there are at present."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def add(self, count: int) -> None:
        with self._changed:
            self._count += count
            self._changed.notify_all()

    def wait_for(self, count: int, within: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._count == count, within)


RUNNING = Running()
STEPS_ENDED = threading.Event()


@component
class Endless:
    """Says its tag for ever."""

    @component.output_types(done=bool)
    def run(self, tag: str, streaming_callback: Any = None) -> dict[str, Any]:
        RUNNING.add(1)
        try:
            for number in itertools.count():
                streaming_callback(StreamingChunk(content=f"{tag}:{number} "))
                time.sleep(PACE)
        finally:
            RUNNING.add(-1)
        return {"done": True}


def takes_a_while(text: str) -> None:
    RUNNING.add(1)
    try:
        time.sleep(PACE)
    finally:
        RUNNING.add(-1)


class Endlessly(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("endless", Endless())
        self.steps = Pipeline(max_runs_per_component=1_000_000)
        for index in range(1000):  # twenty seconds of them
            self.steps.add_component(f"step_{index:04}", Step(takes_a_while))
            if index:
                self.steps.connect(f"step_{index - 1:04}.text", f"step_{index:04}.text")

    def run_api(self, tag: str, way: str = "plain") -> Any:
        if way == "steps":
            try:
                return str(self.steps.run({"step_0000": {"text": tag}}))
            finally:
                STEPS_ENDED.set()
        pieces = streaming_generator(self.pipeline, pipeline_run_args={"endless": {"tag": tag}})
        if way == "events":
            return SSEStream(pieces)
        return (piece.content for piece in pieces) if way == "in a generator of its own" else pieces

    async def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Any:
        return async_streaming_generator(
            self.pipeline,
            pipeline_run_args={"endless": {"tag": messages[-1]["content"]}},
            allow_sync_streaming_callbacks=True,
        )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    deployments = Deployments()
    deployments.add(wrapped("p", Endlessly()))
    parts = [PipelineModels(deployments)]
    app = PipelinesApp(PipelinesServer(deployments, Undeployable(), parts=parts), Gate("key"))
    with uvicorn_on_loopback(app) as at:
        yield at


async def read_and_leave(client: httpx.AsyncClient, url: str, way: str, number: int) -> list[str]:
    """What one visitor has read when they leave."""
    if way == "a chat":
        body: dict[str, Any] = {"model": "p", "stream": True, "messages": [{"role": "user", "content": str(number)}]}
        asked = client.stream("POST", f"{url}/chat/completions", json=body)
    else:
        asked = client.stream("POST", f"{url}/p/run", json={"tag": str(number), "way": way})
    seen = ""
    async with asked as answer:
        assert answer.status_code == 200
        async for text in answer.aiter_text():
            seen += text
            if seen.count(f"{number}:") > 5:
                break
    return [word.rstrip('"}],') for word in seen.replace('"', " ").split() if word[0].isdigit() and ":" in word][:5]


@pytest.mark.parametrize("way", ["plain", "events", "in a generator of its own", "a chat"])
def test_many_who_leave_their_streams(url: str, way: str) -> None:
    async def all_of_them() -> list[list[str]]:
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=AT_ONCE)) as client:
            return await asyncio.gather(*(read_and_leave(client, url, way, number) for number in range(AT_ONCE)))

    seen = asyncio.run(all_of_them())
    left = time.monotonic()
    assert RUNNING.wait_for(0, WITHIN), "runs go on for nobody"
    for thread in pipeline_threads():
        thread.join(max(0, left + WITHIN - time.monotonic()))
    assert pipeline_threads() == []
    assert seen == [[f"{number}:{index}" for index in range(5)] for number in range(AT_ONCE)]


def test_one_who_leaves_ends_no_others_stream(url: str) -> None:
    async def both() -> None:
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("POST", f"{url}/p/run", json={"tag": "stays"}) as stays,
        ):
            texts = stays.aiter_text()
            assert (await anext(texts)).startswith("stays:0")
            await read_and_leave(client, url, "plain", 1)
            assert await asyncio.to_thread(RUNNING.wait_for, 1, WITHIN)
            for _ in range(10):
                assert "stays:" in await anext(texts)

    asyncio.run(both())
    assert RUNNING.wait_for(0, WITHIN)


def test_one_who_leaves_a_run_that_streams_nothing(url: str) -> None:
    async def leave() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            asked = asyncio.create_task(client.post(f"{url}/p/run", json={"tag": "a", "way": "steps"}))
            assert await asyncio.to_thread(RUNNING.wait_for, 1, 20)
            asked.cancel()
            await asyncio.wait((asked,))

    asyncio.run(leave())
    assert STEPS_ENDED.wait(WITHIN)
