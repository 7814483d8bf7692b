"""`async_streaming_generator`, with Haystack's own pipelines and agents: what differs from the synchronous one."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import threading
import time
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, ReasoningContent, StreamingChunk

from portico.calls.run import LEFT
from portico.pipelines.streams.async_streaming import async_streaming_generator
from portico.pipelines.streams.events import create_status_event
from portico.pipelines.streams.task_run import AHEAD
from tests.pipelines.haystack_parts import ASKED, TWO_ASKED, USER, SyncOnly, agent, chatting, of, texts, two_models

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
async def no_task_is_left(anyio_backend: str) -> Any:
    yield
    assert runs() == []


def runs() -> list[asyncio.Task[Any]]:
    """The tasks of pipelines that run."""
    return [task for task in asyncio.all_tasks() if "TaskRun" in repr(task)]


async def stream(pipeline: Any, args: Any = None, **more: Any) -> list[Any]:
    return texts([piece async for piece in async_streaming_generator(pipeline, pipeline_run_args=args, **more)])


@component
class OnLoop:
    """Streams as *give*, a coroutine function, says; on the event loop."""

    def __init__(self, give: Any) -> None:
        self.give = give

    @component.output_types(done=bool)
    def run(self, streaming_callback: Any = None) -> dict[str, Any]:
        raise AssertionError("it runs on the loop")

    @component.output_types(done=bool)
    async def run_async(self, streaming_callback: Any = None) -> dict[str, Any]:
        await self.give(streaming_callback)
        return {"done": True}


async def test_each_chunk_comes_out_as_haystack_made_it() -> None:
    pieces = async_streaming_generator(chatting("one two"), pipeline_run_args=ASKED)
    assert inspect.isasyncgen(pieces)
    first, second = [piece async for piece in pieces]
    assert isinstance(first, StreamingChunk)
    assert (first.content, first.start, second.content) == ("one ", True, "two")


def test_it_is_made_where_no_loop_runs() -> None:
    pieces = async_streaming_generator(chatting("one two"), pipeline_run_args=ASKED)

    async def read() -> list[Any]:
        return texts([piece async for piece in pieces])

    assert asyncio.run(read()) == ["one ", "two"]


async def test_a_chunk_comes_out_while_the_run_goes_on() -> None:
    go_on = asyncio.Event()

    async def give(callback: Any) -> None:
        await callback(StreamingChunk(content="before"))
        await go_on.wait()
        await callback(StreamingChunk(content="after"))

    pieces = async_streaming_generator(of(OnLoop(give)))
    assert (await anext(pieces)).content == "before"
    go_on.set()
    assert texts([piece async for piece in pieces]) == ["after"]


@pytest.mark.parametrize(
    ("components", "expected"),
    [(None, ["c ", "d"]), (["first"], ["a ", "b"]), (["nobody"], [])],
)
async def test_the_components_that_were_asked_for_stream(components: Any, expected: list[str]) -> None:
    given = copy.deepcopy(TWO_ASKED)
    assert await stream(two_models(), given, streaming_components=components) == expected
    assert given == TWO_ASKED


async def test_components_that_run_at_once_stream_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(await stream(two_models(), TWO_ASKED, streaming_components="all")) == ["a ", "b", "c ", "d"]
    monkeypatch.setenv("HAYHOOKS_STREAMING_COMPONENTS", "all")
    assert sorted(await stream(two_models(), TWO_ASKED)) == ["a ", "b", "c ", "d"]


async def test_what_cannot_be_streamed_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="No streaming-capable components found in the pipeline"):
        async_streaming_generator(Pipeline())
    with pytest.raises(ValueError, match="Unsupported pipeline type"):
        async_streaming_generator(3)


# --- components that have no run_async --------------------------------------------------------------------------


async def test_a_component_without_run_async_must_be_allowed() -> None:
    with pytest.raises(ValueError, match=r"Component 'part' of type 'SyncOnly' seems to not support async streaming"):
        async_streaming_generator(of(SyncOnly()))
    assert await stream(of(SyncOnly()), allow_sync_streaming_callbacks=True) == ["x", "y", "z"]
    assert await stream(chatting("one"), ASKED, allow_sync_streaming_callbacks=True) == ["one"]


async def test_components_on_threads_and_on_the_loop_stream_together() -> None:
    pipe = chatting("a b")
    pipe.add_component("part", SyncOnly())
    pieces = await stream(pipe, ASKED, streaming_components="all", allow_sync_streaming_callbacks=True)
    assert sorted(pieces) == ["a ", "b", "x", "y", "z"]


async def test_an_agent_whose_model_has_no_run_async_must_be_allowed() -> None:
    @component
    class Model:
        @component.output_types(replies=list[ChatMessage])
        def run(self, messages: list[ChatMessage], streaming_callback: Any = None, tools: Any = None) -> dict[str, Any]:
            assert not inspect.iscoroutinefunction(streaming_callback)
            streaming_callback(StreamingChunk(content="hello"))
            return {"replies": [ChatMessage.from_assistant("hello")]}

    made = Agent(chat_generator=Model())
    with pytest.raises(ValueError, match="seems to not support async streaming"):
        async_streaming_generator(made)
    assert await stream(made, {"messages": [USER]}, allow_sync_streaming_callbacks=True) == ["hello"]


async def test_a_pipeline_that_cannot_run_on_a_loop_runs_on_a_thread() -> None:
    """As Haystack's pipelines did before version 3."""

    class Older(Pipeline):
        @property
        def run_async(self) -> Any:
            raise AttributeError("run_async")

    pipe = Older()
    pipe.add_component("part", SyncOnly())
    assert not hasattr(pipe, "run_async")
    assert await stream(pipe) == ["x", "y", "z"]


# --- agents and callbacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "in a pipeline"])
@pytest.mark.parametrize("are_coroutines", [True, False], ids=["coroutine functions", "functions"])
async def test_an_agent_tells_of_its_tools_and_then_answers(is_alone: bool, are_coroutines: bool) -> None:
    heard: list[Any] = []

    def start(*told: Any) -> str:
        heard.append(told)
        return "start"

    def end(*told: Any) -> list[Any]:
        heard.append(told)
        return [create_status_event("done"), "end"]

    def last(result: Any) -> str:
        return "last"

    async def start_async(*told: Any) -> str:
        return start(*told)

    async def end_async(*told: Any) -> list[Any]:
        return end(*told)

    async def last_async(result: Any) -> str:
        return last(result)

    pipeline, args = (agent(), {"messages": [USER]}) if is_alone else (of(agent(), "a"), {"a": {"messages": [USER]}})
    callbacks = (start_async, end_async, last_async) if are_coroutines else (start, end, last)
    pieces = await stream(
        pipeline,
        args,
        **dict(zip(("on_tool_call_start", "on_tool_call_end", "on_pipeline_end"), callbacks, strict=True)),
    )
    assert heard == [
        ("weather", {"city": "Rome"}, "call_1"),
        ("weather", {"city": "Rome"}, "sunny in Rome", False),
    ]
    told = [piece for piece in pieces if piece]
    assert told == ["start", create_status_event("done"), "end", "It ", "is ", "sunny.", "last"]


async def test_reasoning_is_told_before_its_chunk() -> None:
    chunk = StreamingChunk(content="", index=0, reasoning=ReasoningContent("Hm."))

    async def give(callback: Any) -> None:
        await callback(chunk)

    pieces = async_streaming_generator(of(OnLoop(give)), on_reasoning=lambda text, extra: text)
    assert [piece async for piece in pieces] == ["Hm.", chunk]


async def test_a_callback_that_fails_is_in_the_log_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(*told: Any) -> Any:
        raise RuntimeError("the callback's own")

    pieces = await stream(agent(), {"messages": [USER]}, on_tool_call_start=fails, on_pipeline_end=fails)
    assert "".join(pieces) == "It is sunny."
    assert len([record for record in caplog.records if record.message.startswith("Error in on_")]) == 2


async def test_outputs_of_inner_components_are_in_the_result_if_asked_for() -> None:
    ends: list[Any] = []
    pipe = two_models()
    await stream(pipe, TWO_ASKED, on_pipeline_end=ends.append, include_outputs_from={"first"})
    assert sorted(ends[0]) == ["first", "second"]


# --- an author's own queue --------------------------------------------------------------------------------------


async def test_what_is_in_the_authors_queue_comes_out_in_its_place() -> None:
    mine: asyncio.Queue[Any] = asyncio.Queue()
    go_on = asyncio.Event()

    async def give(callback: Any) -> None:
        mine.put_nowait("first")
        await go_on.wait()
        await callback(StreamingChunk(content="one"))
        mine.put_nowait({"custom": 1})

    mine.put_nowait(create_status_event("there before"))
    pieces = async_streaming_generator(of(OnLoop(give)), external_event_queue=mine)
    assert [await anext(pieces), await anext(pieces)] == [create_status_event("there before"), "first"]
    go_on.set()
    rest = texts([piece async for piece in pieces])
    assert sorted(rest, key=str) == ["one", {"custom": 1}]


async def test_the_end_may_use_the_authors_queue() -> None:
    mine: asyncio.Queue[Any] = asyncio.Queue()

    async def last(result: Any) -> str:
        await mine.put("after it")
        return "end"

    assert await stream(chatting("one"), ASKED, on_pipeline_end=last, external_event_queue=mine) == [
        "one",
        "end",
        "after it",
    ]


async def test_the_authors_queue_may_be_filled_by_a_thread() -> None:
    mine: asyncio.Queue[Any] = asyncio.Queue()
    heard = threading.Event()

    def give(callback: Any) -> None:
        mine.put_nowait("from a thread")
        assert heard.wait(20)

    pieces = async_streaming_generator(
        of(SyncOnly(give)), external_event_queue=mine, allow_sync_streaming_callbacks=True
    )
    assert await anext(pieces) == "from a thread"
    heard.set()
    assert [piece async for piece in pieces] == []


# --- failures and ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_a_failure_comes_after_the_chunks_before_it(where: str) -> None:
    async def give_async(callback: Any) -> None:
        await callback(StreamingChunk(content="one"))
        raise OSError("gone")

    def give(callback: Any) -> None:
        callback(StreamingChunk(content="one"))
        raise OSError("gone")

    pipe = of(OnLoop(give_async) if where == "loop" else SyncOnly(give))
    pieces = async_streaming_generator(pipe, allow_sync_streaming_callbacks=True)
    assert (await anext(pieces)).content == "one"
    with pytest.raises(PipelineRuntimeError, match="gone"):
        await anext(pieces)


async def test_a_component_that_cancels_itself_has_failed() -> None:
    async def give(callback: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled by nobody but itself"):
        await stream(of(OnLoop(give)))


@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_a_reader_who_is_slow_slows_the_pipeline(where: str) -> None:
    given: list[int] = []
    full = threading.Event()

    def gave(number: int) -> None:
        given.append(number)
        if len(given) == AHEAD:
            full.set()

    async def give_async(callback: Any) -> None:
        for number in range(AHEAD * 4):
            await callback(StreamingChunk(content=str(number)))
            gave(number)

    def give(callback: Any) -> None:
        for number in range(AHEAD * 4):
            callback(StreamingChunk(content=str(number)))
            gave(number)

    pipe = of(OnLoop(give_async) if where == "loop" else SyncOnly(give))
    pieces = async_streaming_generator(pipe, allow_sync_streaming_callbacks=True)
    seen = [(await anext(pieces)).content]
    assert await asyncio.to_thread(full.wait, 20)
    assert len(given) <= AHEAD + 1
    seen += texts([piece async for piece in pieces])
    assert seen == [str(number) for number in range(AHEAD * 4)]


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("how", ["closed", "dropped", "cancelled"])
async def test_the_run_ends_with_the_stream(where: str, how: str) -> None:
    ended = threading.Event()

    async def give_async(callback: Any) -> None:
        try:
            while True:
                await callback(StreamingChunk(content="x"))
        finally:
            ended.set()

    def give(callback: Any) -> None:
        try:
            while True:
                callback(StreamingChunk(content="x"))
        finally:
            ended.set()

    pipe = of(OnLoop(give_async) if where == "loop" else SyncOnly(give))

    async def read() -> None:
        async for _ in async_streaming_generator(pipe, allow_sync_streaming_callbacks=True):
            if how == "dropped":
                break
            if how == "cancelled":
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    if how == "closed":
        pieces = async_streaming_generator(pipe, allow_sync_streaming_callbacks=True)
        await anext(pieces)
        await pieces.aclose()
    else:
        task = asyncio.create_task(read())
        await asyncio.wait((task,))
        assert task.cancelled() == (how == "cancelled")
    assert await asyncio.to_thread(ended.wait, 20)
    if still := runs():
        await asyncio.wait(still, timeout=20)  # for the event loop closes a dropped generator when it comes to it


async def test_a_component_that_will_not_be_cancelled_holds_nobody_long() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def give(callback: Any) -> None:
        await callback(StreamingChunk(content="x"))
        begun.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                pass

    pieces = async_streaming_generator(of(OnLoop(give)))
    await anext(pieces)
    await begun.wait()
    before = time.monotonic()
    await pieces.aclose()
    assert time.monotonic() - before < 10
    go_on.set()
    await asyncio.wait(runs(), timeout=20)


# --- shielded ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_a_shielded_run_goes_on_to_its_end_and_is_not_wanted_by_its_visitor(where: str) -> None:
    ended, go_on = threading.Event(), threading.Event()
    is_on_loop = asyncio.Event()

    async def give_async(callback: Any) -> None:
        await callback(StreamingChunk(content="x"))
        await is_on_loop.wait()
        for _ in range(AHEAD * 2):  # more than is kept for a reader
            await callback(StreamingChunk(content="x"))
        ended.set()

    def give(callback: Any) -> None:
        callback(StreamingChunk(content="x"))
        assert go_on.wait(20)
        for _ in range(AHEAD * 2):
            callback(StreamingChunk(content="x"))
        ended.set()

    pipe = of(OnLoop(give_async) if where == "loop" else SyncOnly(give))
    told: list[Any] = []
    pieces = async_streaming_generator(
        pipe, shield_pipeline_task=True, allow_sync_streaming_callbacks=True, on_pipeline_end=told.append
    )
    await anext(pieces)
    (task,) = runs()
    await pieces.aclose()
    go_on.set()
    is_on_loop.set()
    assert await asyncio.wait_for(task, 20) == {"part": {"done": True}}
    assert ended.is_set()
    assert told == [], "nobody reads the stream, so it has no end"
    await asyncio.sleep(0)


async def test_a_shielded_run_that_fails_unheard_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    go_on = asyncio.Event()

    async def give(callback: Any) -> None:
        await callback(StreamingChunk(content="x"))
        await go_on.wait()
        raise OSError("gone")

    pieces = async_streaming_generator(of(OnLoop(give)), shield_pipeline_task=True)
    await anext(pieces)
    (task,) = runs()
    await pieces.aclose()
    go_on.set()
    with caplog.at_level(logging.WARNING):
        await asyncio.wait((task,))
        await asyncio.sleep(0)
    assert "A pipeline failed after its stream was closed" in caplog.text


async def test_a_shielded_run_is_read_to_its_end_like_any_other() -> None:
    assert await stream(chatting("one"), ASKED, shield_pipeline_task=True, on_pipeline_end=lambda result: "end") == [
        "one",
        "end",
    ]


async def test_the_call_of_a_run_is_its_own() -> None:
    seen: list[Any] = []

    async def give(callback: Any) -> None:
        seen.append(LEFT.get())

    await stream(of(OnLoop(give)))
    assert seen[0] is not None
    assert LEFT.get() is None
