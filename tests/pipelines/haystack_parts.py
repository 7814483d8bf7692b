"""Haystack's own pipelines and agents for tests, with chat generators that need no network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk, ToolCall
from haystack.tools import Tool

USER = ChatMessage.from_user("What is it?")
ASKED = {"llm": {"messages": [USER]}}


def chatting(text: str = "one two three", name: str = "llm") -> Pipeline:
    """A pipeline of one chat generator that streams *text* by words, on a loop or a thread."""
    pipe = Pipeline()
    pipe.add_component(name, MockChatGenerator(text))
    return pipe


def two_models() -> Pipeline:
    """`first` answers "a b", and `second`, added after it, "c d"; the question goes to both."""
    pipe = Pipeline()
    pipe.add_component("first", MockChatGenerator("a b"))
    pipe.add_component("second", MockChatGenerator("c d"))
    return pipe


TWO_ASKED = {"first": {"messages": [USER]}, "second": {"messages": [USER]}}


def of(part: Any, name: str = "part") -> Pipeline:
    """A pipeline of one component."""
    pipe = Pipeline()
    pipe.add_component(name, part)
    return pipe


@component
class SyncOnly:
    """Streams as *give* says, by a callback that is no coroutine function: it has no ``run_async``."""

    def __init__(self, give: Callable[[Callable[[Any], None]], None] | None = None) -> None:
        self.give = give or (lambda callback: [callback(StreamingChunk(content=word)) for word in "xyz"] and None)

    @component.output_types(done=bool)
    def run(self, streaming_callback: Any = None, tag: str = "") -> dict[str, Any]:
        if streaming_callback is not None:
            self.give(streaming_callback)
        return {"done": True}


@component
class Step:
    """Calls *act* with its input and gives it on; it streams nothing."""

    def __init__(self, act: Callable[[str], None] = lambda text: None) -> None:
        self.act = act

    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, Any]:
        self.act(text)
        return {"text": text}


def chain(*acts: Callable[[str], None]) -> Pipeline:
    """Steps one after the other: step_0, step_1 and so on."""
    pipe = Pipeline()
    for index, act in enumerate(acts):
        pipe.add_component(f"step_{index}", Step(act))
        if index:
            pipe.connect(f"step_{index - 1}.text", f"step_{index}.text")
    return pipe


def weather(city: str) -> str:
    if city == "Atlantis":
        raise ValueError("no such city")
    return f"sunny in {city}"


def agent(city: str = "Rome", run: Callable[..., Any] = weather) -> Agent:
    """An agent that calls `weather` once and says what it found."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    call = ToolCall(tool_name="weather", arguments={"city": city}, id="call_1")
    model = MockChatGenerator([ChatMessage.from_assistant(tool_calls=[call]), "It is sunny."])
    return Agent(
        chat_generator=model, tools=[Tool(name="weather", description="The weather", parameters=schema, function=run)]
    )


def texts(pieces: list[Any]) -> list[Any]:
    """Chunks by their content; other pieces as they are."""
    return [piece.content if isinstance(piece, StreamingChunk) else piece for piece in pieces]


def pipeline_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "portico-pipeline"]
