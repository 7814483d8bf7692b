"""A run that nobody waits for ends at its next component, tool or chunk, on whichever thread it is."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import haystack.tracing
import pytest
from haystack.tracing import is_tracing_enabled

from portico.calls.run import LEFT, Cancel, Items, drive
from portico.pipelines.streams.stopping import RunStopped, check_wanted, watch_haystack
from tests.pipelines.haystack_parts import USER, agent, chain


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def left() -> Any:
    """The present call's, which a test may say that nobody waits for."""
    before, cancel = LEFT.get(), Cancel()
    LEFT.set(cancel)
    yield cancel
    LEFT.set(before)


def test_it_is_no_exception_so_that_no_component_seems_to_fail(left: Cancel) -> None:
    check_wanted()
    left.set()
    with pytest.raises(RunStopped) as raised:
        check_wanted()
    assert not isinstance(raised.value, Exception)
    assert isinstance(raised.value, asyncio.CancelledError)


def test_watching_changes_nothing_of_haystacks_tracing() -> None:
    assert watch_haystack()
    watched = haystack.tracing.tracer.trace
    assert watch_haystack()
    assert haystack.tracing.tracer.trace == watched, "it looks once a span, however often this is called"
    assert not is_tracing_enabled()
    with haystack.tracing.tracer.trace("a span", tags={"a": 1}) as span:
        span.set_tag("b", 2)


def test_a_pipeline_ends_before_its_next_component(left: Cancel) -> None:
    watch_haystack()
    ran: list[str] = []
    pipe = chain(ran.append, lambda text: left.set(), ran.append)
    with pytest.raises(RunStopped):
        pipe.run({"step_0": {"text": "hello"}})
    assert ran == ["hello"]


def test_an_agent_ends_before_its_next_step(left: Cancel) -> None:
    watch_haystack()

    def weather(city: str) -> str:
        left.set()
        return "sunny"

    with pytest.raises(RunStopped):
        agent(run=weather).run(messages=[USER])


@pytest.mark.anyio
async def test_a_pipeline_on_the_loop_ends_too(left: Cancel) -> None:
    watch_haystack()
    ran: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        await chain(lambda text: left.set(), ran.append).run_async({"step_0": {"text": "hello"}})
    assert ran == []


# --- a visitor who leaves ---------------------------------------------------------------------------------------


async def leave(call: Any, begun: asyncio.Event, on_loop: bool = False) -> None:
    """Call *call* as a server does, for a visitor who leaves once it has *begun*."""
    task = asyncio.create_task(drive(call, on_loop, Items()))
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.anyio
async def test_a_run_that_streams_nothing_ends_when_its_visitor_leaves(way: str) -> None:
    watch_haystack()
    loop, begun, go_on, ended = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), threading.Event()
    ran: list[str] = []

    def holds(text: str) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(20)
        ended.set()

    pipe, args = chain(holds, ran.append), {"step_0": {"text": "hello"}}
    if way == "sync":
        await leave(lambda: pipe.run(args), begun)
    else:
        await leave(lambda: pipe.run_async(args), begun, on_loop=True)
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 20)
    for thread in threading.enumerate():
        if thread.name == "portico-call":
            await asyncio.to_thread(thread.join, 20)
    assert ran == []


@pytest.mark.anyio
async def test_what_a_call_that_ended_well_has_begun_in_the_background_goes_on() -> None:
    watch_haystack()
    ran: list[str] = []
    answered = asyncio.Event()
    background: list[asyncio.Task[Any]] = []

    async def later() -> None:
        await answered.wait()
        await chain(ran.append, ran.append).run_async({"step_0": {"text": "hello"}})

    async def call() -> str:
        background.append(asyncio.create_task(later()))
        return "answer"

    items = Items()
    await drive(call, True, items)
    assert items.items == ["answer"]
    answered.set()
    await background[0]
    assert ran == ["hello", "hello"]


@pytest.mark.anyio
async def test_each_call_has_its_own() -> None:
    """One visitor's leaving ends no other's run."""
    seen: list[Cancel | None] = []

    def call() -> str:
        seen.append(LEFT.get())
        return "answer"

    await asyncio.gather(*(drive(call, False, Items()) for _ in range(3)))
    assert len({id(cancel) for cancel in seen}) == 3
    assert None not in seen
    assert LEFT.get() is None
