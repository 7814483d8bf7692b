"""What other servers and libraries give, handed on by a function: text, reasoning, calls, usage and failures arrive."""

import json

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from openai import OpenAI
from openai.types import Completion
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from pydantic_ai import messages as ai

from portico.models import Finish, Reasoning, ToolCall, Usage, chat_server
from portico.models.parts import Extra
from tests.models.visitor import MESSAGES, ask, chat

RESPONSES = "/v1/responses"
ASKED = {"model": "m", "input": "hi"}


def everything(messages):
    yield Reasoning("let me ")
    yield Reasoning("think")
    yield "Hello "
    yield "you"
    yield Extra({"annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 5}]})
    yield ToolCall("f", id="call_1", index=0)
    yield ToolCall(arguments='{"x"', index=0)
    yield ToolCall(arguments=": 1}", index=0)
    yield ToolCall("g", {}, id="call_2")
    yield Usage(12, 5, 17)


UPSTREAM = chat_server({"m": everything})
EVENTS = ask(UPSTREAM, "POST", RESPONSES, {**ASKED, "stream": True, "reasoning": {"summary": "auto"}}).chunks
WHOLE = ask(UPSTREAM, "POST", RESPONSES, ASKED).json
read_event = TypeAdapter(ResponseStreamEvent).validate_python


def only(*endings):
    return [event for event in EVENTS if event["type"].endswith(endings)]


def renamed_items():
    """As of a server whose items have another id in each event."""
    events = []
    for number, event in enumerate(EVENTS):
        if "item_id" in event:
            event = {**event, "item_id": f"other_{number}"}
        if "item" in event:
            event = {**event, "item": {**event["item"], "id": f"item_{number}"}}
        events.append(event)
    return events


HANDED_ON = {
    "events": EVENTS,
    "objects": [read_event(event) for event in EVENTS],
    "ids that change": renamed_items(),
    "the end alone": only(".completed"),
    "whole items": only("output_item.done", ".completed"),
    "no end of items": [event for event in EVENTS if not event["type"].endswith(".done")],
    "a response as a dict": [WHOLE],
    "a response": [Response.model_validate(WHOLE)],
    "events and the response": [*map(read_event, EVENTS), Response.model_validate(EVENTS[-1]["response"])],
}


@pytest.mark.parametrize("given", HANDED_ON.values(), ids=HANDED_ON)
def test_a_stream_of_responses(given):
    app = chat_server({"m": lambda messages: iter(given)})
    whole = chat(app).json
    message = whole["choices"][0]["message"]
    assert message["content"] == "Hello you"
    assert message["reasoning_content"] == "let me think"
    assert [(call["id"], call["function"]["name"]) for call in message["tool_calls"]] == [
        ("call_1", "f"),
        ("call_2", "g"),
    ]
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"x": 1}', "{}"]
    assert [one["url"] for one in message["annotations"]] == ["u"]
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["total_tokens"]) == (12, 17)
    streamed = chat(app, stream=True)
    assert streamed.text == "Hello you"
    response = Response.model_validate(ask(app, "POST", RESPONSES, ASKED).json)
    assert response.output_text == "Hello you"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert response.output[1].content[0].annotations[0].url == "u"
    assert response.usage.input_tokens == 12


def test_a_response_that_fails_is_an_error():
    error = {"code": "server_error", "message": "The GPU melted."}
    failed = {"type": "response.failed", "response": {**WHOLE, "id": "r", "status": "failed", "error": error}}
    for given in (failed, failed["response"], {"type": "error", "code": "server_error", "message": "The GPU melted."}):
        app = chat_server({"m": lambda messages, given=given: iter([given])})
        answer = chat(app)
        assert (answer.status, answer.error["message"]) == (500, "The GPU melted.")
    app = chat_server({"m": lambda messages: iter([*EVENTS[:12], failed])})
    assert chat(app, stream=True).events[-2]["error"]["message"] == "The GPU melted."


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")]
)
def test_a_response_that_is_incomplete(reason, finish):
    details = {"reason": reason} if reason else None
    response = {**WHOLE, "status": "incomplete", "incomplete_details": details}
    for given in (response, {"type": "response.incomplete", "response": response}):
        app = chat_server({"m": lambda messages, given=given: iter([given])})
        assert chat(app).json["choices"][0]["finish_reason"] == finish


def test_refusals_are_handed_on_once():
    part = {"type": "refusal", "refusal": "I would rather not."}
    item = {"id": "msg", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    place = {"item_id": "msg", "output_index": 0, "content_index": 0, "sequence_number": 1}
    events = [
        {"type": "response.refusal.delta", "delta": "I would ", **place},
        {"type": "response.refusal.delta", "delta": "rather not.", **place},
        {"type": "response.refusal.done", "refusal": part["refusal"], **place},
        {"type": "response.output_item.done", "item": item, "output_index": 0, "sequence_number": 2},
    ]
    for given in (events, events[2:], events[3:]):
        app = chat_server({"m": lambda messages, given=given: iter(given)})
        assert chat(app).json["choices"][0]["message"]["refusal"] == part["refusal"]


def test_items_without_a_place_in_chat_go_beside_the_message():
    item = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "x"}}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**WHOLE, "id": "r", "output": [item]}},
    ]
    app = chat_server({"m": lambda messages: iter(events)})
    assert chat(app).json["choices"][0]["message"]["output_items"] == [item]
    assert ask(app, "POST", RESPONSES, ASKED).json["output"] == [item]


def test_streams_of_the_sdk_itself(serve):
    """The SDK's streams and its stream helpers, over HTTP from another server."""
    client = OpenAI(base_url=f"{serve(UPSTREAM)}/v1", api_key="any")

    def responses(messages):
        return client.responses.create(model="m", input="hi", stream=True)

    def responses_helper(messages):
        with client.responses.stream(model="m", input="hi") as stream:
            yield from stream

    def chunks(messages):
        return client.chat.completions.create(
            model="m", messages=messages, stream=True, stream_options={"include_usage": True}
        )

    def chat_helper(messages):
        options = {"include_usage": True}
        with client.chat.completions.stream(model="m", messages=messages, stream_options=options) as stream:
            yield from stream

    def choices(messages):
        for one in chunks(messages):
            yield one.choices[0] if one.choices else one.usage and {"usage": one.usage.model_dump()}

    def deltas(messages):
        for one in chunks(messages):
            yield one.choices[0].delta if one.choices else {"usage": one.usage.model_dump()}

    def whole(messages):
        return client.chat.completions.create(model="m", messages=messages)

    for model in (responses, responses_helper, chunks, chat_helper, choices, deltas, whole):
        answer = chat(chat_server({"m": model})).json
        message = answer["choices"][0]["message"]
        assert message["content"] == "Hello you", model
        assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"x": 1}', "{}"], model
        assert answer["usage"]["prompt_tokens"] == 12, model
        assert not {"parsed", "delta", "index"} & message.keys()

    def texts_alone(messages):
        with client.chat.completions.stream(model="m", messages=messages) as stream:
            yield from (event for event in stream if event.type == "content.delta")

    assert chat(chat_server({"m": texts_alone})).json["choices"][0]["message"]["content"] == "Hello you"


def test_streams_of_completions():
    chunk = {"id": "x", "object": "text_completion", "created": 1, "model": "o"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    chunks = [
        {**chunk, "choices": [{"index": 0, "text": "Hello ", "logprobs": None, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "text": "you", "logprobs": None, "finish_reason": "length"}]},
        {**chunk, "choices": [], "usage": usage},
    ]
    for given in (chunks, [Completion.model_construct(**one) for one in chunks]):
        app = chat_server({"m": lambda messages, given=given: iter(given)})
        whole = chat(app).json
        assert whole["choices"][0]["message"]["content"] == "Hello you"
        assert whole["choices"][0]["finish_reason"] == "length"
        assert whole["usage"] == usage


@pytest.mark.parametrize(
    ("last", "finish"),
    [
        ({"choices": None, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}, "length"),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, "length"),
        ({"choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}}, "length"),
    ],
)
def test_chat_streams_of_other_servers(last, finish):
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "o"}

    def model(messages):
        yield {
            **head,
            "choices": [{"index": 0, "delta": {"reasoning_content": "hm", "content": None}, "finish_reason": ""}],
        }
        yield {**head, "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "model_length"}]}
        yield {**head, **last}

    whole = chat(chat_server({"m": model})).json
    message = whole["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello", "hm")
    assert whole["choices"][0]["finish_reason"] == finish
    assert whole["usage"]["total_tokens"] == 5


def langchain(messages):
    def piece(**call):
        return AIMessageChunk(
            content="", tool_call_chunks=[{"name": None, "args": None, "id": None, "index": 0, **call}]
        )

    yield AIMessageChunk(content="Hel", additional_kwargs={"reasoning_content": "hm"})
    yield AIMessageChunk(content=[{"type": "text", "text": "lo", "index": 0}])
    yield piece(name="f", args="", id="c1")
    yield piece(args='{"a":')
    yield piece(args=" 1}")
    yield AIMessageChunk(content="", response_metadata={"finish_reason": "tool_calls"})
    for used in (1, 2):
        yield AIMessageChunk(
            content="", usage_metadata={"input_tokens": 1, "output_tokens": used, "total_tokens": 1 + used}
        )


def langgraph(messages):
    for one in langchain(messages):
        yield one, {"langgraph_step": 1}


def langchain_whole(messages):
    return AIMessage(
        content="Hello",
        additional_kwargs={"reasoning_content": "hm"},
        tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1"}],
        usage_metadata={"input_tokens": 2, "output_tokens": 3, "total_tokens": 5},
    )


def pydantic_ai(messages):
    yield ai.PartStartEvent(index=0, part=ai.ThinkingPart(content="hm"))
    yield ai.PartStartEvent(index=1, part=ai.TextPart(content="Hel"))
    yield ai.PartDeltaEvent(index=1, delta=ai.TextPartDelta(content_delta="lo"))
    yield ai.FinalResultEvent(tool_name=None, tool_call_id=None)
    yield ai.PartStartEvent(index=2, part=ai.ToolCallPart(tool_name="f", args=None, tool_call_id="c1"))
    yield ai.PartDeltaEvent(index=2, delta=ai.ToolCallPartDelta(args_delta='{"a": 1}'))
    yield Usage(2, 3)


def pydantic_ai_whole(messages):
    call = ai.ToolCallPart("f", {"a": 1}, "c1")
    yield ai.ModelResponse(parts=[ai.ThinkingPart("hm"), ai.TextPart("Hello"), call])
    yield Usage(2, 3)


def anthropic(messages):
    usage = {"input_tokens": 2, "output_tokens": 1}
    yield {"type": "message_start", "message": {"type": "message", "role": "assistant", "content": [], "usage": usage}}
    yield {"type": "ping"}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "secret"}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}}
    tool = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    yield {"type": "content_block_start", "index": 2, "content_block": tool}
    for piece in ('{"a":', " 1}"):
        delta = {"type": "input_json_delta", "partial_json": piece}
        yield {"type": "content_block_delta", "index": 2, "delta": delta}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}
    yield {"type": "message_stop"}


def anthropic_whole(messages):
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "secret"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
    ]
    message = {"id": "m", "type": "message", "role": "assistant", "model": "o", "content": content}
    return {**message, "stop_reason": "tool_use", "usage": {"input_tokens": 2, "output_tokens": 3}}


def ollama(messages):
    yield {"model": "o", "message": {"role": "assistant", "content": "Hel", "thinking": "hm"}, "done": False}
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    yield {"model": "o", "message": {"role": "assistant", "content": "lo", "tool_calls": [call]}, "done": False}
    message = {"role": "assistant", "content": ""}
    yield {
        "model": "o",
        "message": message,
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 2,
        "eval_count": 3,
    }


def google(messages):
    parts = [{"text": "hm", "thought": True}, {"text": "Hello"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]
    usage = {"promptTokenCount": 2, "candidatesTokenCount": 3, "totalTokenCount": 5}
    return {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}


def litellm(messages):
    chunk = {"text": "", "tool_use": None, "is_finished": False, "finish_reason": "", "usage": None, "index": 0}
    yield Reasoning("hm")
    yield {**chunk, "text": "Hello"}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}, "index": 0}
    yield {**chunk, "tool_use": call}
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    yield {**chunk, "is_finished": True, "finish_reason": "tool_calls", "usage": usage}


@pytest.mark.parametrize(
    "model",
    [
        *(langchain, langgraph, langchain_whole, pydantic_ai, pydantic_ai_whole),
        *(anthropic, anthropic_whole, ollama, google, litellm),
    ],
)
def test_other_libraries(model):
    app = chat_server({"m": model})
    answer = chat(app)
    whole = answer.json
    message = whole["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello", "hm")
    (call,) = message["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("f", {"a": 1})
    if model in (ollama, google):  # which give none
        assert call["id"].startswith("call_")
    else:
        assert call["id"] == "c1"
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["usage"]["total_tokens"] == 5
    assert message.keys() <= {"role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls"}
    assert b"secret" not in answer.body
    assert chat(app, stream=True).text == "Hello"


class Own(BaseModel):
    answer: str


def test_a_model_of_the_authors_own_is_json_and_a_librarys_is_not():
    assert chat(chat_server({"m": lambda messages: Own(answer="x")})).json["choices"][0]["message"]["content"] == (
        '{"answer": "x"}'
    )
    secret = ai.UserPromptPart(content="SECRET")  # a dataclass
    for given, advice in (
        (HumanMessage("SECRET"), "give"),
        (secret, "give"),
        (ai.ModelRequest(parts=[secret]), "give"),
        (OpenAI, "call it"),
        (MESSAGES, "yield"),
    ):
        seen = []
        app = chat_server({"m": lambda messages, given=given: [given]}, on_error=seen.append)
        answer = chat(app)
        assert answer.error["code"] == "unusable_output", given
        assert b"SECRET" not in answer.body
        assert advice in str(seen[0])


def test_a_finish_reason_of_another_server():
    for reason, finish in (("end_turn", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter")):
        app = chat_server({"m": lambda messages, reason=reason: iter(["x", Finish(reason)])})
        assert chat(app).json["choices"][0]["finish_reason"] == finish
