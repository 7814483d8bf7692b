"""A live agent as a chat model: what of its run goes out, and what it is given of the conversation."""

from __future__ import annotations

from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool

from portico.pipelines.components.agents import AgentChat, chat_messages, is_agent
from portico.pipelines.components.objects import prepare_object

HELLO = [{"role": "user", "content": "one two three"}]


class Special(Agent):  # type: ignore[misc]
    """A person's own."""


@component
class Silent:
    """A chat generator that cannot stream."""

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage], tools: Any = None) -> dict[str, list[ChatMessage]]:
        return {"replies": [ChatMessage.from_assistant("all at once")]}


def said(agent: Any, messages: list[dict[str, Any]] = HELLO) -> list[str]:
    pieces = [getattr(piece, "content", piece) for piece in AgentChat(agent)("model", messages, {})]
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize(
    ("thing", "is_one"),
    [(Agent(chat_generator=MockChatGenerator()), True), (Special(chat_generator=MockChatGenerator()), True)]
    + [(thing, False) for thing in (Pipeline(), MockChatGenerator(), Agent, None)],
)
def test_what_is_an_agent(thing: Any, is_one: bool) -> None:
    assert is_agent(thing) is is_one


def test_its_answer_comes_in_pieces() -> None:
    assert said(Agent(chat_generator=MockChatGenerator())) == ["one ", "two ", "three"]


def test_an_agent_whose_model_cannot_stream_gives_its_answer() -> None:
    assert said(Agent(chat_generator=Silent())) == ["all at once"]


def test_the_tools_of_an_agent_are_called_on_the_way() -> None:
    called: list[int] = []

    def double(n: int) -> int:
        called.append(n)
        return n * 2

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = Tool(name="double", description="Doubles", parameters=schema, function=double)
    from haystack.dataclasses import ToolCall

    call = ChatMessage.from_assistant(tool_calls=[ToolCall(tool_name="double", arguments={"n": 4}, id="1")])
    agent = Agent(chat_generator=MockChatGenerator([call, ChatMessage.from_assistant("eight")]), tools=[tool])
    assert "".join(said(agent)).endswith("eight")
    assert called == [4]


def test_the_conversation_is_read_whatever_its_form() -> None:
    given = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "3"},
    ]
    system, user, assistant, tool = chat_messages(given)
    assert (str(system.role.value), system.text) == ("system", "Be brief.")
    assert user.text == "a"
    assert assistant.tool_call.arguments == {"n": 1}
    assert tool.tool_call_result.result == "3"


def test_it_is_a_function_and_a_chat_model() -> None:
    made = prepare_object("helper", Agent(chat_generator=MockChatGenerator()))
    assert made.chat is not None
    assert made.api is not None
    assert prepare_object("pipe", MockChatGenerator()).chat is None
