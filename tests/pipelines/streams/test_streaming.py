"""`streaming_generator`, with Haystack's own pipelines and agents."""

from __future__ import annotations

import copy
import inspect
import logging
import queue
import threading
from typing import Any
from unittest.mock import Mock

import pytest
from haystack import Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import MockChatGenerator
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, ReasoningContent, StreamingChunk, ToolCallDelta

from portico.calls.run import LEFT, Cancel
from portico.pipelines.streams.events import create_status_event
from portico.pipelines.streams.stopping import RunStopped
from portico.pipelines.streams.streaming import streaming_generator
from portico.pipelines.streams.thread_run import AHEAD
from tests.pipelines.haystack_parts import (
    ASKED,
    TWO_ASKED,
    USER,
    SyncOnly,
    agent,
    chatting,
    of,
    pipeline_threads,
    texts,
    two_models,
)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    yield
    assert pipeline_threads() == []


def stream(pipeline: Any, args: Any = None, **more: Any) -> list[Any]:
    return texts(list(streaming_generator(pipeline, pipeline_run_args=args, **more)))


def test_each_chunk_comes_out_as_haystack_made_it() -> None:
    pieces = streaming_generator(chatting("one two"), pipeline_run_args=ASKED)
    assert inspect.isgenerator(pieces)
    first, second = pieces
    assert isinstance(first, StreamingChunk)
    assert (first.content, first.start, first.meta) == ("one ", True, {"model": "mock-model"})
    assert first.component_info is not None
    assert first.component_info.name == "llm"
    assert second.content == "two"


def test_the_run_begins_with_the_first_piece() -> None:
    ran = threading.Event()
    pieces = streaming_generator(of(SyncOnly(lambda callback: ran.set())))
    assert not ran.is_set()
    assert list(pieces) == []
    assert ran.is_set()


def test_a_chunk_comes_out_while_the_run_goes_on() -> None:
    go_on = threading.Event()

    def give(callback: Any) -> None:
        callback(StreamingChunk(content="before"))
        assert go_on.wait(20)
        callback(StreamingChunk(content="after"))

    pieces = streaming_generator(of(SyncOnly(give)))
    assert next(pieces).content == "before"
    go_on.set()
    assert texts(list(pieces)) == ["after"]


def test_what_is_given_to_run_is_not_changed() -> None:
    given = copy.deepcopy(TWO_ASKED)
    before = copy.deepcopy(given)
    inner = {name: id(inputs) for name, inputs in given.items()}
    assert stream(two_models(), given, streaming_components="all")
    assert given == before
    assert {name: id(inputs) for name, inputs in given.items()} == inner


def test_a_flat_run_streams_too() -> None:
    pipe = Pipeline()
    pipe.add_component("prompt", ChatPromptBuilder(template=[ChatMessage.from_user("{{query}}")]))
    pipe.add_component("llm", MockChatGenerator())
    pipe.connect("prompt.prompt", "llm.messages")
    given = {"query": "say it again"}
    assert stream(pipe, given) == ["say ", "it ", "again"]
    assert given == {"query": "say it again"}
    assert stream(pipe, {"prompt": {"query": "by component"}}) == ["by ", "component"]


def test_a_stand_in_for_a_pipeline_is_run_as_one() -> None:
    """Authors' own tests have them: a mock of a pipeline's class."""
    pipeline = Mock(spec=Pipeline)
    pipeline.walk.return_value = [("part", SyncOnly())]
    pipeline.run.side_effect = lambda data: SyncOnly().run(**data["part"])
    for given in ({}, {"part": {"tag": "a"}}, {"other": {"tag": "a"}}):
        assert stream(pipeline, given) == ["x", "y", "z"]
        assert pipeline.run.call_args.kwargs["data"].keys() == {"part", *given}


def test_a_flat_name_that_nothing_takes_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert stream(chatting(), {"messages": [USER], "other": 1}) == ["one ", "two ", "three"]
    assert "No component of the pipeline takes 'other'." in caplog.text


# --- which components stream ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        (None, ["c ", "d"]),
        ("all", ["a ", "b", "c ", "d"]),
        (["first"], ["a ", "b"]),
        (["second", "first"], ["a ", "b", "c ", "d"]),
        ([], []),
        (["nobody"], []),
    ],
)
def test_the_components_that_were_asked_for_stream(components: Any, expected: list[str]) -> None:
    assert stream(two_models(), TWO_ASKED, streaming_components=components) == expected


@pytest.mark.parametrize("variable", ["PORTICO_STREAMING_COMPONENTS", "HAYHOOKS_STREAMING_COMPONENTS"])
def test_the_environment_says_which_stream_unless_the_author_does(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, " ALL ")
    assert stream(two_models(), TWO_ASKED) == ["a ", "b", "c ", "d"]
    assert stream(two_models(), TWO_ASKED, streaming_components=["second"]) == ["c ", "d"]
    monkeypatch.setenv(variable, "first, nobody")
    assert stream(two_models(), TWO_ASKED) == ["a ", "b"]
    monkeypatch.setenv(variable, "  ")
    assert stream(two_models(), TWO_ASKED) == ["c ", "d"]


def test_nothing_that_can_stream_is_an_error_at_once() -> None:
    pipe = Pipeline()
    pipe.add_component("prompt", ChatPromptBuilder(template=[USER]))
    with pytest.raises(ValueError, match="No streaming-capable components found in the pipeline"):
        streaming_generator(pipe)
    with pytest.raises(ValueError, match="No streaming-capable components found in the pipeline"):
        streaming_generator(Pipeline())


@pytest.mark.parametrize("thing", [None, "pipeline", MockChatGenerator()], ids=["None", "text", "component"])
def test_neither_a_pipeline_nor_an_agent_is_an_error_at_once(thing: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported pipeline type"):
        streaming_generator(thing)


# --- agents and callbacks ---------------------------------------------------------------------------------------


def in_pipeline(city: str) -> tuple[Any, dict[str, Any]]:
    return of(agent(city), "agent"), {"agent": {"messages": [USER]}}


def alone(city: str) -> tuple[Any, dict[str, Any]]:
    return agent(city), {"messages": [USER]}


@pytest.mark.parametrize("made", [alone, in_pipeline])
def test_an_agent_tells_of_its_tools_and_then_answers(made: Any) -> None:
    heard: list[Any] = []
    pipeline, args = made("Rome")
    pieces = stream(
        pipeline,
        args,
        on_tool_call_start=lambda *told: heard.append(told) or f"start {told[0]}",
        on_tool_call_end=lambda *told: heard.append(told) or [create_status_event("done"), "and more"],
    )
    assert heard == [
        ("weather", {"city": "Rome"}, "call_1"),
        ("weather", {"city": "Rome"}, "sunny in Rome", False),
    ]
    told = [piece for piece in pieces if piece]
    assert told == ["start weather", create_status_event("done"), "and more", "It ", "is ", "sunny."]


@pytest.mark.parametrize("made", [alone, in_pipeline])
def test_a_tool_that_fails_is_told_as_such(made: Any) -> None:
    heard: list[Any] = []
    pipeline, args = made("Atlantis")
    stream(pipeline, args, on_tool_call_end=lambda *told: heard.append(told))
    ((name, arguments, text, failed),) = heard
    assert (name, arguments, failed) == ("weather", {"city": "Atlantis"}, True)
    assert "no such city" in text


def test_reasoning_is_told_before_its_chunk() -> None:
    chunk = StreamingChunk(content="", index=0, reasoning=ReasoningContent("Hm.", extra={"signature": "s"}))
    pieces = streaming_generator(
        of(SyncOnly(lambda callback: callback(chunk))), on_reasoning=lambda text, extra: [text, str(extra)]
    )
    assert list(pieces) == ["Hm.", "{'signature': 's'}", chunk]


@pytest.mark.parametrize("arguments", [None, "", '{"city": "Ro', "[1]", "[" * 100_000])
def test_arguments_that_have_not_come_yet_are_none(arguments: str | None) -> None:
    heard: list[Any] = []
    calls = [
        ToolCallDelta(index=0, tool_name="weather", arguments=arguments),
        ToolCallDelta(index=0, arguments="more"),
    ]
    chunk = StreamingChunk(content="", index=0, tool_calls=calls)
    stream(of(SyncOnly(lambda callback: callback(chunk))), on_tool_call_start=lambda *told: heard.append(told))
    assert heard == [("weather", {}, None)]


def test_what_the_end_gives_is_the_last_piece() -> None:
    event = create_status_event("done", done=True)
    assert stream(chatting("one"), ASKED, on_pipeline_end=lambda result: result["llm"]["replies"][0].text + "!") == [
        "one",
        "one!",
    ]
    assert stream(chatting("one"), ASKED, on_pipeline_end=lambda result: ["more", event]) == ["one", "more", event]
    last = [*streaming_generator(chatting("one"), pipeline_run_args=ASKED, on_pipeline_end=lambda result: "end")][-1]
    assert isinstance(last, StreamingChunk)
    assert stream(chatting("one"), ASKED, on_pipeline_end=lambda result: None) == ["one"]
    assert stream(chatting("one"), ASKED, on_pipeline_end=lambda result: "") == ["one"]


def test_the_end_of_an_agent_is_told_its_result() -> None:
    ends: list[Any] = []
    stream(agent(), {"messages": [USER]}, on_pipeline_end=ends.append)
    assert ends[0]["last_message"].text == "It is sunny."


def test_outputs_of_inner_components_are_in_the_result_if_asked_for() -> None:
    pipe = two_models()
    pipe.add_component("prompt", ChatPromptBuilder(template=[USER]))
    pipe.add_component("third", MockChatGenerator("e"))
    pipe.connect("prompt.prompt", "third.messages")
    ends: list[Any] = []
    stream(pipe, TWO_ASKED, on_pipeline_end=ends.append)
    stream(pipe, TWO_ASKED, on_pipeline_end=ends.append, include_outputs_from={"prompt"})
    assert [sorted(end) for end in ends] == [["first", "second", "third"], ["first", "prompt", "second", "third"]]


def fails(*told: Any) -> Any:
    raise RuntimeError("the callback's own")


async def coroutine(*told: Any) -> str:
    return "never"


@pytest.mark.parametrize("callback", [fails, coroutine])
def test_a_callback_that_fails_is_in_the_log_and_ends_nothing(callback: Any, caplog: pytest.LogCaptureFixture) -> None:
    pieces = stream(
        agent(), {"messages": [USER]}, on_tool_call_start=callback, on_tool_call_end=callback, on_pipeline_end=callback
    )
    assert "".join(pieces) == "It is sunny."
    chunk = StreamingChunk(content="", index=0, reasoning=ReasoningContent("Hm."))
    assert stream(of(SyncOnly(lambda give: give(chunk))), on_reasoning=callback) == [""]
    failed = [record for record in caplog.records if record.message.startswith("Error in on_")]
    assert [record.message.split()[2] for record in failed] == [
        "on_tool_call_start",
        "on_tool_call_end",
        "on_pipeline_end",
        "on_reasoning",
    ]
    assert all(record.exc_info for record in failed)


def test_the_end_is_told_after_all_tools_and_may_use_the_authors_queue() -> None:
    heard: list[str] = []
    mine: queue.Queue[Any] = queue.Queue()

    def last(result: Any) -> str:
        heard.append("end")
        mine.put("after it")
        return "end"

    pieces = stream(
        agent(),
        {"messages": [USER]},
        on_tool_call_start=lambda *told: heard.append("start"),
        on_tool_call_end=lambda *told: heard.append("tool"),
        on_pipeline_end=last,
        external_event_queue=mine,
    )
    assert heard == ["start", "tool", "end"]
    assert pieces[-2:] == ["end", "after it"]


def test_an_end_that_gives_something_else_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert stream(chatting("one"), ASKED, on_pipeline_end=lambda result: result) == ["one"]
    assert "on_pipeline_end gave dict: give a text, an event, or a list of them" in caplog.text


# --- an author's own queue --------------------------------------------------------------------------------------


def test_what_is_in_the_authors_queue_comes_out_in_its_place() -> None:
    mine: queue.Queue[Any] = queue.Queue()
    event = create_status_event("searching")

    def give(callback: Any) -> None:
        mine.put(event)
        callback(StreamingChunk(content="one"))
        mine.put({"custom": 1})
        mine.put(None)
        callback(StreamingChunk(content="two"))
        mine.put("the last")

    mine.put("there before")
    pieces = stream(of(SyncOnly(give)), external_event_queue=mine)
    assert sorted(map(repr, pieces)) == sorted(
        map(repr, ["there before", event, "one", {"custom": 1}, None, "two", "the last"])
    )
    assert pieces[0] == "there before"
    assert pieces.index(event) < pieces.index("one") < pieces.index("two")
    assert pieces.index({"custom": 1}) < pieces.index("two")


def test_the_authors_queue_is_read_while_the_pipeline_gives_nothing() -> None:
    mine: queue.Queue[Any] = queue.Queue()
    heard = threading.Event()

    def give(callback: Any) -> None:
        mine.put("wait for this")
        assert heard.wait(20)

    pieces = streaming_generator(of(SyncOnly(give)), external_event_queue=mine)
    assert next(pieces) == "wait for this"
    heard.set()
    assert list(pieces) == []


def test_a_chunk_in_the_authors_queue_is_told_of_too() -> None:
    mine: queue.Queue[Any] = queue.Queue()
    mine.put(StreamingChunk(content="", index=0, reasoning=ReasoningContent("Hm.")))
    assert stream(chatting("one"), ASKED, external_event_queue=mine, on_reasoning=lambda text, extra: text) == [
        "Hm.",
        "",
        "one",
    ]


def test_what_is_in_the_authors_queue_comes_before_a_failure() -> None:
    mine: queue.Queue[Any] = queue.Queue()

    def give(callback: Any) -> None:
        callback(StreamingChunk(content="one"))
        mine.put("why it fails")
        raise OSError("gone")

    pieces = streaming_generator(of(SyncOnly(give)), external_event_queue=mine)
    assert {*texts([next(pieces), next(pieces)])} == {"one", "why it fails"}
    with pytest.raises(PipelineRuntimeError, match="gone"):
        next(pieces)


# --- failures and ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit("broken"), KeyboardInterrupt("broken")])
def test_a_failure_comes_after_the_chunks_before_it(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def give(callback: Any) -> None:
        callback(StreamingChunk(content="one"))
        raise error

    pieces = streaming_generator(of(SyncOnly(give)))
    assert next(pieces).content == "one"
    with pytest.raises((PipelineRuntimeError, SystemExit, RuntimeError)) as raised:
        next(pieces)
    assert "broken" in f"{raised.value}{raised.value.__cause__}"
    assert next(pieces, "nothing") == "nothing"


def test_a_failed_run_can_be_kept_by_haystack(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Its snapshot names the callback, as it does any other function."""
    monkeypatch.setenv("HAYSTACK_PIPELINE_SNAPSHOT_SAVE_ENABLED", "true")

    def give(callback: Any) -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.DEBUG), pytest.raises(PipelineRuntimeError) as raised:
        list(streaming_generator(of(SyncOnly(give)), pipeline_run_args={"part": {"tag": "kept"}}))
    snapshot = raised.value.pipeline_snapshot
    assert snapshot is not None
    kept = repr(snapshot.pipeline_state.inputs)
    assert "portico.pipelines.streams.streaming_components.streaming_callback" in kept
    assert "kept" in kept


def test_a_reader_who_is_slow_slows_the_pipeline() -> None:
    given: list[int] = []

    def give(callback: Any) -> None:
        for number in range(AHEAD * 4):
            callback(StreamingChunk(content=str(number)))
            given.append(number)

    pieces = streaming_generator(of(SyncOnly(give)))
    seen = [next(pieces).content]
    while len(given) < AHEAD:
        threading.Event().wait(0.001)
    assert len(given) <= AHEAD * 2
    seen += texts(list(pieces))
    assert seen == [str(number) for number in range(AHEAD * 4)]


def endless(started: threading.Event, ended: threading.Event) -> Any:
    def give(callback: Any) -> None:
        started.set()
        try:
            while True:
                callback(StreamingChunk(content="x"))
        finally:
            ended.set()

    return give


def test_closing_it_ends_the_run() -> None:
    started, ended = threading.Event(), threading.Event()
    pieces = streaming_generator(of(SyncOnly(endless(started, ended))))
    next(pieces)
    pieces.close()
    assert ended.is_set()
    assert pipeline_threads() == []


def test_dropping_it_ends_the_run() -> None:
    started, ended = threading.Event(), threading.Event()
    for _ in streaming_generator(of(SyncOnly(endless(started, ended)))):
        break
    assert ended.wait(20)


def test_the_run_ends_when_its_call_is_not_wanted_any_more() -> None:
    """And who reads the stream is told so: code after the loop must not take it for whole."""
    started, ended = threading.Event(), threading.Event()
    left = Cancel()
    before = LEFT.get()
    LEFT.set(left)
    try:
        pieces = streaming_generator(of(SyncOnly(endless(started, ended))))
        next(pieces)
        left.set()
        with pytest.raises(RunStopped):
            for _ in pieces:
                pass
    finally:
        LEFT.set(before)
    assert ended.wait(20)


def test_a_component_that_gives_nothing_holds_nobody_who_waits_for_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its call has left: the reader goes at once, the thread when its component ends."""
    begun, go_on = threading.Event(), threading.Event()
    left = Cancel()

    def give(callback: Any) -> None:
        callback(StreamingChunk(content="one"))
        begun.set()
        go_on.wait(20)

    read = threading.Event()

    def reader() -> None:
        LEFT.set(left)
        pieces = streaming_generator(of(SyncOnly(give)))
        with pytest.raises(RunStopped):
            list(pieces)
        read.set()

    thread = threading.Thread(target=reader)
    thread.start()
    assert begun.wait(20)
    left.set()
    assert read.wait(20)
    thread.join()
    assert "A pipeline still runs" in caplog.text
    go_on.set()
    for each in pipeline_threads():
        each.join(20)


def test_without_threads_the_run_comes_first_and_its_chunks_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a browser tab."""
    monkeypatch.setattr("portico.pipelines.streams.streaming.THREADS", False)
    mine: queue.Queue[Any] = queue.Queue()
    here = threading.get_ident()

    def give(callback: Any) -> None:
        assert threading.get_ident() == here
        callback(StreamingChunk(content="one"))
        mine.put("mine")

    pieces = stream(of(SyncOnly(give)), external_event_queue=mine, on_pipeline_end=lambda result: "end")
    assert pieces == ["one", "end", "mine"]
    with pytest.raises(PipelineRuntimeError):
        stream(of(SyncOnly(fails)))
