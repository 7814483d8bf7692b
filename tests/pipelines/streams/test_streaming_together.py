"""Streams of any shape: each piece comes out once and in its order, streams never mix, and no thread is left."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from haystack.components.generators.chat import MockChatGenerator
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, StreamingChunk
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.pipelines.streams.async_streaming import async_streaming_generator
from portico.pipelines.streams.events import PipelineEvent
from portico.pipelines.streams.streaming import streaming_generator
from tests.pipelines.haystack_parts import SyncOnly, of, pipeline_threads, texts

AT_ONCE = 64

ACTIONS = st.lists(st.sampled_from(["chunk", "event", "end"]), max_size=12)
"""What a component does in turn: give a chunk, or put an event into the author's queue; "end" fails the component."""


def acting(actions: list[str], put: Callable[[Any], None]) -> tuple[Any, list[str], list[str], bool]:
    """A pipeline that acts so; the chunks and events that it gives, and whether it fails."""
    fails = "end" in actions
    done = actions[: actions.index("end")] if fails else actions
    chunks = [f"chunk {index}" for index, action in enumerate(done) if action == "chunk"]
    events = [f"event {index}" for index, action in enumerate(done) if action == "event"]

    def give(callback: Any) -> None:
        for index, action in enumerate(done):
            if action == "chunk":
                callback(StreamingChunk(content=f"chunk {index}"))
            else:
                put(PipelineEvent(type=f"event {index}", data={}))
        if fails:
            raise OSError("as it should")

    return of(SyncOnly(give)), chunks, events, fails


def named(piece: Any) -> str:
    return piece.type if isinstance(piece, PipelineEvent) else piece.content


def check(seen: list[str], chunks: list[str], events: list[str], *, whole: bool) -> None:
    """Each source's pieces are in its order, none twice; and all of them, where the stream was read to its end."""
    for source in (chunks, events):
        got = [piece for piece in seen if piece in source]
        assert got == source[: len(got)]
        assert not whole or got == source
    assert set(seen) <= {*chunks, *events}


@given(actions=ACTIONS, stop=st.none() | st.integers(0, 12))
@settings(deadline=None)
def test_any_order_of_chunks_events_and_failures_and_an_end_anywhere(actions: list[str], stop: int | None) -> None:
    mine: queue.Queue[Any] = queue.Queue()
    pipe, chunks, events, fails = acting(actions, mine.put)
    pieces = streaming_generator(pipe, external_event_queue=mine)
    seen: list[str] = []
    failed = False
    try:
        for piece in pieces:
            if len(seen) == stop:
                break
            seen.append(named(piece))
        else:
            stop = None
    except PipelineRuntimeError:
        failed = True
    pieces.close()
    whole = stop is None or failed
    assert failed == (fails and whole)
    check(seen, chunks, events, whole=whole)
    assert pipeline_threads() == []


@given(actions=ACTIONS, stop=st.none() | st.integers(0, 12))
@settings(deadline=None)
def test_the_same_on_an_event_loop(actions: list[str], stop: int | None) -> None:
    mine: queue.SimpleQueue[Any] = queue.SimpleQueue()
    pipe, chunks, events, fails = acting(actions, mine.put)

    async def read() -> tuple[list[str], bool, bool]:
        seen: list[str] = []
        pieces = async_streaming_generator(pipe, external_event_queue=mine, allow_sync_streaming_callbacks=True)
        try:
            async for piece in pieces:
                if len(seen) == stop:
                    return seen, False, False
                seen.append(named(piece))
        except PipelineRuntimeError:
            return seen, True, True
        finally:
            await pieces.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return seen, True, False

    seen, whole, failed = asyncio.run(read())
    assert failed == (fails and whole)
    check(seen, chunks, events, whole=whole)


@pytest.mark.fuzz
def test_it_goes_on_to_hold(fuzz_seconds: float) -> None:
    """The two above, for as long as there is."""
    until = time.monotonic() + fuzz_seconds
    while time.monotonic() < until:
        test_any_order_of_chunks_events_and_failures_and_an_end_anywhere()
        test_the_same_on_an_event_loop()


def words(number: int) -> list[str]:
    return [f"{number}:{index} " for index in range(20)]


def args(number: int) -> dict[str, Any]:
    return {"llm": {"messages": [ChatMessage.from_user("".join(words(number)))]}}


def echoing() -> Any:
    """One pipeline for all: its model says what it is told."""
    return of(MockChatGenerator(), "llm")


def test_many_streams_of_one_pipeline_on_threads_never_mix() -> None:
    pipe, seen = echoing(), {}
    together = threading.Barrier(AT_ONCE)

    def read(number: int) -> None:
        together.wait()
        pieces = streaming_generator(
            pipe, pipeline_run_args=args(number), on_pipeline_end=lambda result: f"end {number}"
        )
        seen[number] = texts(list(pieces))

    readers = [threading.Thread(target=read, args=(number,)) for number in range(AT_ONCE)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert seen == {number: [*words(number), f"end {number}"] for number in range(AT_ONCE)}
    assert pipeline_threads() == []


def test_many_streams_read_in_turn_by_one_thread_never_mix() -> None:
    pipe = echoing()
    streams = [streaming_generator(pipe, pipeline_run_args=args(number)) for number in range(AT_ONCE)]
    turns = [texts([next(pieces) for pieces in streams]) for _ in range(20)]
    assert [[*said] for said in zip(*turns, strict=True)] == [words(number) for number in range(AT_ONCE)]
    for pieces in streams[::2]:
        pieces.close()
    assert all(next(pieces, None) is None for pieces in streams)
    assert pipeline_threads() == []


def test_many_streams_of_one_pipeline_on_one_loop_never_mix() -> None:
    pipe = echoing()

    async def read(number: int) -> list[Any]:
        return texts([each async for each in async_streaming_generator(pipe, pipeline_run_args=args(number))])

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(read(number) for number in range(AT_ONCE)))

    assert asyncio.run(all_of_them()) == [words(number) for number in range(AT_ONCE)]
