"""What libraries give arrives whole and once, or its author hears what was not understood; visitors get no more."""

import json
from dataclasses import dataclass

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai import messages as ai
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset

from portico.models import ToolCall, chat_server
from portico.models.foreign import reader_of
from portico.models.parts import Finish, Reasoning, Text, Usage
from tests.models.visitor import ask, chat


def given(function, **fields):
    """The message of a whole answer; a stream says the same."""
    app = chat_server({"m": function})
    whole = chat(app, **fields).json
    message = whole["choices"][0]["message"]
    assert chat(app, stream=True, **fields).text == (message["content"] or "")
    return message, whole


def calls(message):
    return [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls", ())
    ]


# --- what JSON does not know --------------------------------------------------------------------------------------

NO_JSON = {
    "an object in a delta": ({"content": "x", "context": [object()]}, "'context'"),
    "a set in a delta": ({"content": "x", "tags": {1}}, "'tags'"),
    "an object beside the choices": ({"choices": [{"message": {"content": "x"}}], "more": object()}, "'more'"),
    "NaN beside the choices": ({"choices": [{"message": {"content": "x"}}], "more": float("nan")}, "'more'"),
    "NaN in the usage": ({"content": "x", "usage": {"completion_tokens": 1, "cost": float("nan")}}, "'cost'"),
    "an infinite logprob": (
        {"choices": [{"delta": {"content": "x"}, "logprobs": {"content": [{"logprob": float("-inf")}]}}]},
        "JSON",
    ),
}


@pytest.mark.parametrize(("item", "named"), NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_a_value_that_json_does_not_know_is_named(item, named, stream, path):
    seen = []
    app = chat_server({"m": lambda prompt: iter([item])}, on_error=seen.append)
    asked = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "input": "hi"}
    key = {"chat/completions": "messages", "completions": "prompt", "responses": "input"}[path.removeprefix("/v1/")]
    answer = ask(app, "POST", path, {key: asked[key], "stream": stream})
    assert answer.ended
    assert len(seen) == 1
    assert named in str(seen[0])
    assert named.encode() in answer.body
    assert b"The server failed" not in answer.body


def test_a_tool_is_called_by_its_name():
    app = chat_server({"m": lambda prompt: {"tool_calls": [{"id": "a", "function": {"name": 5}}]}})
    assert "by an int" in chat(app).error["message"]
    message, _ = given(lambda prompt: {"tool_calls": [{"id": 7, "function": {"name": "f"}}]})
    assert message["tool_calls"][0]["id"] == "7"


def test_calls_in_other_spellings():
    @dataclass
    class Function:
        name: str
        arguments: str

    message, _ = given(lambda prompt: {"tool_calls": [{"id": "a", "function": Function("f", '{"x": 1}')}]})
    assert calls(message) == [("f", {"x": 1})]
    message, _ = given(lambda prompt: {"tool_calls": [{"id": "a", "type": "custom", "name": "p", "input": "x y"}]})
    assert message["tool_calls"] == [{"id": "a", "type": "custom", "custom": {"name": "p", "input": "x y"}}]


def test_a_text_that_is_an_object_is_its_value_or_is_said():
    part = {"type": "text", "text": {"value": "Hello", "annotations": []}}
    assert given(lambda prompt: {"content": [part]})[0]["content"] == "Hello"
    app = chat_server({"m": lambda prompt: {"content": [{"type": "text", "text": 5}]}})
    assert "is an int" in chat(app).error["message"]


def test_a_class_is_not_iterated_over():
    for one in (str, list, dict):
        error = chat(chat_server({"m": lambda prompt, one=one: one})).error
        assert error["code"] == "unusable_output"
        assert "call it first" in error["message"]


# --- Anthropic ----------------------------------------------------------------------------------------------------


def anthropic(*blocks, id="m1"):
    yield {"type": "message_start", "message": {"id": id, "type": "message", "role": "assistant", "content": []}}
    for index, (block, *deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
    yield {"type": "message_stop"}


SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
SAID = ({"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"})


def whole(*content, id="m1"):
    return {"type": "message", "id": id, "role": "assistant", "content": list(content), "stop_reason": "end_turn"}


def test_a_tool_that_anthropics_server_runs_is_no_call_for_the_client():
    pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"query"', ': "q"}')]
    streamed, answer = given(lambda prompt: anthropic((SEARCH, *pieces), SAID))
    assert "tool_calls" not in streamed
    assert answer["choices"][0]["finish_reason"] == "stop"
    full, _ = given(lambda prompt: whole({**SEARCH, "input": {"query": "q"}}, {"type": "text", "text": "Hello"}))
    assert streamed == full
    assert streamed["content_parts"] == [{**SEARCH, "input": {"query": "q"}}]


def test_a_message_after_its_own_stream_is_not_given_twice():
    tool = ({"type": "tool_use", "id": "t", "name": "f", "input": {}}, {"type": "input_json_delta"})
    end = whole({"type": "text", "text": "Hello"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}})

    def events(prompt):
        yield from anthropic(SAID, tool)
        yield end

    def deltas(prompt):
        yield {"type": "content_block_delta", "index": 0, "delta": SAID[1]}
        yield whole({"type": "text", "text": "Hello"})

    message, _ = given(events)
    assert (message["content"], calls(message)) == ("Hello", [("f", {})])
    assert given(deltas)[0]["content"] == "Hello"

    def another(prompt):
        yield from anthropic(SAID)
        yield whole({"type": "text", "text": " again"}, id="m2")

    assert given(another)[0]["content"] == "Hello again"


# --- LangChain ----------------------------------------------------------------------------------------------------


def test_langchains_messages_of_the_responses_api():
    block = {"type": "function_call", "name": "f", "arguments": '{"a": 1}', "call_id": "c1", "id": "fc_1"}
    call = {"name": "f", "args": {"a": 1}, "id": "c1"}
    for tool_calls in ([call], []):  # a list of its own, or the block alone
        message, _ = given(lambda prompt, calls=tool_calls: AIMessage(content=[block], tool_calls=calls))
        assert message.keys() <= {"role", "content", "refusal", "tool_calls"}
        assert [(one["id"], one["function"]["name"]) for one in message["tool_calls"]] == [("c1", "f")]
    custom = {"type": "custom_tool_call", "name": "p", "input": "x y", "call_id": "c1", "id": "ctc_1"}
    message, _ = given(lambda prompt: AIMessage(content=[custom]))
    assert message["tool_calls"] == [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "x y"}}]
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    _, answer = given(lambda prompt: AIMessage("Hello", response_metadata=cut))
    assert answer["choices"][0]["finish_reason"] == "length"


def test_langchains_older_calls():
    def pieces(prompt):
        for call in ({"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ": 1}"}):
            yield AIMessageChunk("", additional_kwargs={"function_call": call})

    asked = {"name": "f", "arguments": '{"a": 1}'}
    for function in (pieces, lambda prompt: AIMessage("", additional_kwargs={"function_call": asked})):
        assert calls(given(function)[0]) == [("f", {"a": 1})]


# --- agents, which call their own tools ---------------------------------------------------------------------------


def agent(**options):
    made = Agent(TestModel(custom_output_text=None if "output_type" in options else "Hello"), **options)

    @made.tool_plain
    def look_up(x: int) -> str:
        return "SECRET"

    return made


async def run_events(prompt):
    async with agent().run_stream_events(prompt) as events:
        async for event in events:
            yield event


async def model_events(prompt):
    async with agent().iter(prompt) as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as events:
                    async for event in events:
                        yield event


@pytest.mark.parametrize("function", [run_events, model_events])
def test_a_call_that_an_agent_answers_itself_is_not_the_clients(function):
    message, answer = given(function)
    assert message["content"] == "Hello"
    assert "tool_calls" not in message
    assert answer["choices"][0]["finish_reason"] == "stop"
    if function is run_events:
        assert "estimated" not in answer["usage"]


class Output(BaseModel):
    x: int


def test_an_agents_output_is_given_where_it_is_no_text():
    async def events(prompt):
        async with agent(output_type=Output).run_stream_events(prompt) as stream:
            async for event in stream:
                yield event

    async def result(prompt):
        return await agent(output_type=Output).run(prompt)

    for function in (events, result):
        message, _ = given(function)
        assert json.loads(message["content"]) == {"x": 0}
        assert "tool_calls" not in message


def test_a_call_that_an_agent_defers_is_the_clients():
    def deferring():
        tool = ToolDefinition(name="theirs", parameters_json_schema={"type": "object", "properties": {}})
        return Agent(TestModel(), output_type=[str, DeferredToolRequests], toolsets=[ExternalToolset([tool])])

    async def events(prompt):
        async with deferring().run_stream_events(prompt) as stream:
            async for event in stream:
                yield event

    async def result(prompt):
        return await deferring().run(prompt)

    for function in (events, result):
        assert calls(given(function)[0]) == [("theirs", {})]


def test_a_call_that_pydantic_ais_server_runs_is_skipped_with_its_arguments():
    def events(prompt):
        part = ai.NativeToolCallPart(tool_name="web_search", args="", tool_call_id="b1")
        yield ai.PartStartEvent(index=0, part=part)
        delta = ai.ToolCallPartDelta(args_delta='{"q": 1}', tool_call_id="b1")
        yield ai.PartDeltaEvent(index=0, delta=delta)
        yield ai.PartStartEvent(index=1, part=ai.TextPart("Hello"))

    message, _ = given(events)
    assert message["content"] == "Hello"
    assert "tool_calls" not in message


def thing(package, name, **fields):
    """An object as of a library that is not installed here: readers know it by its package, name and attributes."""
    made = type(name, (), {"__module__": f"{package}.types", **fields})()
    made.__dict__.update(fields)
    return made


def test_a_run_of_openais_agents_gives_text_and_the_usage_of_all_its_responses():
    responses = chat_server({"m": lambda prompt: iter([ToolCall("own", "{}", id="c1"), Usage(1, 2, 3)])})
    said = chat_server({"m": lambda prompt: iter(["Hello", Usage(10, 20, 30)])})
    asked = {"input": "hi", "stream": True}
    events = [event for app in (responses, said) for event in ask(app, "POST", "/v1/responses", asked).chunks]
    dump = {"model_dump": lambda self, **options: self.event}
    kind = type("Event", (), {"__module__": "openai.types.responses", **dump})

    def run(prompt):
        for event in events:
            data = kind()
            data.event, data.type = event, event["type"]
            yield thing("agents", "RawResponsesStreamEvent", type="raw_response_event", data=data)

    message, answer = given(run)
    assert message["content"] == "Hello"
    assert "tool_calls" not in message
    assert answer["usage"]["total_tokens"] == 33


# --- LlamaIndex, LiteLLM, google-genai ----------------------------------------------------------------------------


def llama(name, **fields):
    return thing("llama_index", name, **fields)


def message_of(text, role="assistant"):
    return llama("ChatMessage", role=role, content=text, additional_kwargs={}, blocks=[])


def answer_of(text, **fields):
    return llama("ChatResponse", message=message_of(text), **{"delta": None, "raw": None, **fields})


def parts(module, *items):
    reader = reader_of(module)
    return [part for item in items for _, part in [*reader.read(item), *reader.rest()]]


def test_whole_texts_in_llama_indexs_streams_are_given_once():
    for items in (
        [answer_of("Hel", delta="Hel"), answer_of("Hello", delta="lo"), answer_of("Hello")],
        [answer_of("Hel"), answer_of("Hello")],
        [llama("CompletionResponse", text=text, delta=None) for text in ("Hel", "Hello", "Hello")],
        [llama("AgentStream", delta="Hello"), llama("AgentOutput", response=message_of("Hello"))],
    ):
        assert "".join(part.text for part in parts("llama_index", *items)) == "Hello"


def test_usage_and_reasons_of_llama_indexs_responses():
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    raw = {"choices": [{"finish_reason": "length"}], "usage": counts}
    for fields in ({"raw": raw}, {"raw": raw | {"usage": None}, "additional_kwargs": counts}):
        assert parts("llama_index", answer_of("Hello", **fields)) == [Text("Hello"), Usage(1, 2, 3), Finish("length")]


def test_what_has_no_place_in_an_answer_is_said():
    image = message_of("")
    image.blocks = [llama("ImageBlock")]
    for function, says in (
        (lambda prompt: message_of("SECRET", role="user"), "ChatMessage"),
        (lambda prompt: image, "ImageBlock"),
        (lambda prompt: {"candidates": [{"content": {"parts": [{"fileData": {"fileUri": "x"}}]}}]}, "file_data"),
        (lambda prompt: {"candidates": [{"content": {"parts": [{"functionResponse": {}}]}}]}, "function_response"),
    ):
        answer = chat(chat_server({"m": function}))
        assert answer.error["code"] == "unusable_output"
        assert says in answer.error["message"]
        assert b"SECRET" not in answer.body


def test_the_index_of_litellms_generic_chunks_loses_nothing():
    chunk = {"text": "", "tool_use": None, "is_finished": False, "finish_reason": "", "usage": None}
    thought = {**chunk, "index": 0, "provider_specific_fields": {"reasoning_content": "hm"}}
    texts = [{**chunk, "index": index, "text": text} for index, text in enumerate(("Hel", "lo"), 1)]
    last = {**chunk, "index": 3, "is_finished": True, "finish_reason": "length"}
    assert parts("litellm", thought, *texts, last) == [Reasoning("hm"), Text("Hel"), Text("lo"), Finish("length")]
    message, answer = given(lambda prompt: iter([thought, *texts, last]))
    assert (message["content"], message["reasoning_content"]) == ("Hello", "hm")
    assert answer["choices"][0]["finish_reason"] == "length"
