"""Chats of real Haystack pipelines and agents: chunks, reasoning, finish reasons, and whose the calls of tools are."""

import json

import pytest
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ReasoningContent, StreamingChunk, ToolCall, ToolCallDelta
from haystack.tools import create_tool_from_function

from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.streams.async_streaming import async_streaming_generator
from portico.pipelines.streams.callbacks import default_on_tool_call_end, default_on_tool_call_start
from portico.pipelines.streams.streaming import streaming_generator
from tests.models.visitor import MESSAGES
from tests.pipelines.openai_wrappers import Wrapper, request, table


def ask(wrapper, path="/v1/chat/completions", **fields):
    asked = {"input": "hi"} if path.endswith("responses") else {"messages": MESSAGES}
    return request(PipelineModels(table(p=wrapper)), path, {"model": "p", **asked, **fields})


def yielding(*chunks):
    """A wrapper that gives *chunks* to chats and to responses."""

    def give(self, *args, **kwargs):
        yield from chunks

    return type("PipelineWrapper", (Wrapper,), {"run_chat_completion": give, "run_response": give})()


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def reply(messages):
    if messages[-1].is_from("tool"):
        return "It is sunny."
    return ChatMessage.from_assistant(tool_calls=[ToolCall("weather", {"city": "Bern"}, id="c1")])


class AgentWrapper(Wrapper):
    def setup(self):
        tools = [create_tool_from_function(weather)]
        self.pipeline = Agent(chat_generator=MockChatGenerator(response_fn=reply), tools=tools)

    def run_chat_completion(self, model, messages, body):
        callbacks = {}
        if body.get("tell"):
            callbacks = {
                "on_tool_call_start": default_on_tool_call_start,
                "on_tool_call_end": default_on_tool_call_end,
            }
        arguments = {"messages": [ChatMessage.from_user(messages[-1]["content"])]}
        return streaming_generator(self.pipeline, pipeline_run_args=arguments, **callbacks)

    async def run_response_async(self, model, input_items, body):
        return async_streaming_generator(self.pipeline, pipeline_run_args={"messages": [ChatMessage.from_user("hi")]})


@pytest.fixture
def agent():
    wrapper = AgentWrapper()
    wrapper.setup()
    return wrapper


def of_stream(answer):
    deltas = [event["choices"][0]["delta"] for event in answer.events[:-1] if "choices" in event]
    reasons = [event["choices"][0]["finish_reason"] for event in answer.events[:-1] if "choices" in event]
    return deltas, [reason for reason in reasons if reason]


def test_a_pipeline_streams_its_words():
    class Says(Wrapper):
        def setup(self):
            self.pipeline = Pipeline()
            self.pipeline.add_component("llm", MockChatGenerator("one two three"))

        def run_chat_completion(self, model, messages, body):
            return streaming_generator(self.pipeline, pipeline_run_args={"llm": {"messages": []}})

    wrapper = Says()
    wrapper.setup()
    deltas, reasons = of_stream(ask(wrapper, stream=True))
    assert [delta["content"] for delta in deltas if delta.get("content")] == ["one ", "two ", "three"]
    assert reasons == ["stop"]
    assert ask(wrapper).json["choices"][0]["message"]["content"] == "one two three"


def test_what_an_agent_calls_itself_is_not_the_clients(agent):
    deltas, reasons = of_stream(ask(agent, stream=True))
    assert "".join(delta.get("content") or "" for delta in deltas) == "It is sunny."
    assert not any("tool_calls" in delta for delta in deltas)
    assert reasons == ["stop"]
    choice = ask(agent).json["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("It is sunny.", "stop")
    assert "tool_calls" not in choice["message"]
    output = ask(agent, "/v1/responses").json["output"]
    assert [item["type"] for item in output] == ["message"]


def test_an_agents_tools_are_told_as_events_and_as_details(agent):
    answer = ask(agent, stream=True, tell=True)
    told = [event["event"] for event in answer.events[:-1] if "event" in event]
    assert [(event["type"], event["data"]["description"], event["data"]["done"]) for event in told] == [
        ("status", "Calling 'weather' tool...", False),
        ("status", "Called 'weather' tool", True),
    ]
    text = "".join(delta.get("content") or "" for delta in of_stream(answer)[0])
    assert text.startswith('<details type="weather" done="true">\n<summary>Tool call result for \'weather\'</summary>')
    assert text.endswith("</details>\n\nIt is sunny.")


CALL = [
    StreamingChunk("", index=0, tool_calls=[ToolCallDelta(index=0, id="c1", tool_name="w", arguments="")]),
    StreamingChunk("", index=0, tool_calls=[ToolCallDelta(index=0, arguments='{"a":')]),
    StreamingChunk("", index=0, tool_calls=[ToolCallDelta(index=0, arguments="1}")]),
    StreamingChunk("", finish_reason="tool_calls"),
]


def test_calls_that_nobody_answers_are_the_clients():
    choice = ask(yielding(*CALL)).json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert (call["id"], call["function"]) == ("c1", {"name": "w", "arguments": '{"a":1}'})
    deltas, reasons = of_stream(ask(yielding(*CALL), stream=True))
    assert "".join(d["tool_calls"][0]["function"]["arguments"] for d in deltas if "tool_calls" in d) == '{"a":1}'
    assert reasons == ["tool_calls"]


def test_calls_that_the_answer_goes_on_after_are_the_pipelines_own():
    choice = ask(yielding(*CALL, StreamingChunk("It is "), StreamingChunk("sunny."))).json["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("It is sunny.", "stop")
    assert "tool_calls" not in choice["message"]


def test_text_beside_calls_in_one_message_answers_none():
    choice = ask(yielding(*CALL[:3], StreamingChunk("calling"), CALL[3])).json["choices"][0]
    assert choice["message"]["content"] == "calling"
    assert choice["message"]["tool_calls"][0]["id"] == "c1"
    assert choice["finish_reason"] == "tool_calls"


def test_calls_of_a_second_message_are_the_clients_after_those_that_were_answered():
    second = StreamingChunk("", index=0, tool_calls=[ToolCallDelta(index=0, id="c2", tool_name="v", arguments="{}")])
    choice = ask(yielding(*CALL, StreamingChunk("then"), second, CALL[3])).json["choices"][0]
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["c2"]
    assert choice["finish_reason"] == "tool_calls"


def test_reasoning_has_a_place_of_its_own():
    thought = StreamingChunk("", index=0, reasoning=ReasoningContent("let me think"))
    deltas, _ = of_stream(ask(yielding(thought, StreamingChunk("said")), stream=True))
    assert [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta] == ["let me think"]
    message = ask(yielding(thought, StreamingChunk("said"))).json["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("let me think", "said")


def test_a_chunks_own_reason_is_the_answers():
    chunks = [StreamingChunk("cut "), StreamingChunk("off", finish_reason="length")]
    assert of_stream(ask(yielding(*chunks), stream=True))[1] == ["length"]
    assert ask(yielding(*chunks)).json["choices"][0]["finish_reason"] == "length"


def test_a_message_of_the_assistant_is_an_answer():
    class Whole(Wrapper):
        def run_chat_completion(self, model, messages, body):
            return ChatMessage.from_assistant("whole")

    assert ask(Whole()).json["choices"][0]["message"]["content"] == "whole"


def test_reasoning_of_a_response_is_told_as_a_summary_too():
    thought = StreamingChunk("", index=0, reasoning=ReasoningContent("let me think"))
    answer = ask(yielding(thought, StreamingChunk("said")), "/v1/responses", stream=True)
    kinds = [event["type"] for event in answer.events]
    assert "response.reasoning_summary_text.delta" in kinds
    assert kinds[-1] == "response.completed"
    summary, message = answer.events[-1]["response"]["output"]
    assert summary["summary"] == [{"type": "summary_text", "text": "let me think"}]
    assert message["content"][0]["text"] == "said"


def test_a_response_of_calls_has_their_items():
    output = ask(yielding(*CALL), "/v1/responses").json["output"]
    assert [(item["type"], item["name"], json.loads(item["arguments"])) for item in output] == [
        ("function_call", "w", {"a": 1})
    ]
