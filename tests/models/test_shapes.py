"""Every shape that an author may use, streamed and whole, through chat, completions and responses."""

import asyncio
import functools
import json
from dataclasses import dataclass

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from pydantic import BaseModel

from portico.models import Finish, Text, ToolCall, Usage, chat_server
from tests.models.visitor import ask, chat

COMPLETION = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "other",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello you"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def chunk(content):
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "other", "choices": [choice]}


@dataclass
class HaystackChunk:
    content: str
    finish_reason: str | None = None


def returns_text(messages):
    return "hello you"


async def returns_text_async(messages):
    return "hello you"


def yields_text(messages):
    yield "hello "
    yield "you"


async def yields_text_async(messages):
    yield "hello "
    yield "you"


def returns_generator(messages):
    return (part for part in ("hello ", "you"))


async def returns_generator_async(messages):
    return yields_text(messages)


async def returns_async_generator(messages):
    return yields_text_async(messages)


def sync_returns_async_generator(messages):
    return yields_text_async(messages)


def sync_returns_coroutine(messages):
    return returns_async_generator(messages)


def returns_delta(messages):
    return {"role": "assistant", "content": "hello you"}


def yields_deltas(messages):
    yield {"role": "assistant"}
    yield {"content": "hello "}
    yield {"content": "you", "finish_reason": "stop"}


def returns_completion(messages):
    return COMPLETION


def yields_chunks(messages):
    yield from (chunk("hello "), chunk("you"))
    yield {**chunk(""), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


async def returns_openai_object(messages):
    return ChatCompletion.model_validate(COMPLETION)


async def yields_openai_objects(messages):
    for content in ("hello ", "you"):
        yield ChatCompletionChunk.model_validate(chunk(content))


def yields_dataclasses(messages):
    yield Text("hello ")
    yield Text("you")
    yield Usage(1, 2)
    yield Finish("stop")


def yields_none_between(messages):
    yield None
    yield "hello "
    yield None
    yield "you"


def returns_list(messages):
    return ["hello ", "you"]


def returns_metadata(messages):
    yield "hello "
    yield "you"
    return {"usage": {"prompt_tokens": 1, "completion_tokens": 2}, "finish_reason": "stop"}


def returns_the_text_again(messages):
    yield "hello "
    yield "you"
    return "hello you"


def yields_nothing_returns_all(messages):
    yield from ()
    return "hello you"


def yields_content_parts(messages):
    yield {"content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "you"}]}


def yields_haystack_chunks(messages):
    yield HaystackChunk("hello ")
    yield HaystackChunk("you", "stop")


def returns_response(messages):
    content = [{"type": "output_text", "text": "hello you", "annotations": []}]
    return {"object": "response", "output": [{"type": "message", "role": "assistant", "content": content}]}


class CallableObject:
    async def __call__(self, messages):
        yield "hello "
        yield "you"


class WithMethod:
    def run_chat_completion(self, model: str, messages: list, body: dict):
        assert (model, body["messages"]) == ("m", messages)
        yield "hello "
        yield "you"


def bound(prefix, messages):
    yield prefix
    yield "you"


SHAPES = [
    returns_text,
    returns_text_async,
    yields_text,
    yields_text_async,
    returns_generator,
    returns_generator_async,
    returns_async_generator,
    sync_returns_async_generator,
    sync_returns_coroutine,
    returns_delta,
    yields_deltas,
    returns_completion,
    yields_chunks,
    returns_openai_object,
    yields_openai_objects,
    yields_dataclasses,
    yields_none_between,
    returns_list,
    returns_metadata,
    returns_the_text_again,
    yields_nothing_returns_all,
    yields_content_parts,
    yields_haystack_chunks,
    returns_response,
    CallableObject(),
    WithMethod().run_chat_completion,
    functools.partial(bound, "hello "),
    lambda messages: "hello you",
]


@pytest.fixture(params=[True, False], ids=["threads", "inline"])
def threads(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: getattr(shape, "__name__", type(shape).__name__))
def test_every_shape_through_every_endpoint(shape, threads):
    app = chat_server({"m": shape}, threads=threads)

    whole = ChatCompletion.model_validate(chat(app, model="m").json)
    assert whole.choices[0].message.content == "hello you"
    assert whole.choices[0].finish_reason == "stop"
    streamed = chat(app, model="m", stream=True)
    assert streamed.text == "hello you"
    for one in streamed.chunks:
        ChatCompletionChunk.model_validate(one)

    prompt = {"model": "m", "prompt": "hello"}
    completion = Completion.model_validate(ask(app, "POST", "/v1/completions", prompt).json)
    assert completion.choices[0].text == "hello you"
    chunks = ask(app, "POST", "/v1/completions", {**prompt, "stream": True}).chunks
    for one in chunks:
        Completion.model_validate({**one, "choices": [{**c, "finish_reason": "stop"} for c in one["choices"]]})
    assert "".join(one["choices"][0]["text"] for one in chunks) == "hello you"

    given = {"model": "m", "input": "hello"}
    response = Response.model_validate(ask(app, "POST", "/v1/responses", given).json)
    assert response.output_text == "hello you"
    events = ask(app, "POST", "/v1/responses", {**given, "stream": True}).chunks
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == "hello you"
    assert Response.model_validate(events[-1]["response"]).output_text == "hello you"


class Cat(BaseModel):
    name: str
    lives: int = 9


def test_a_pydantic_model_of_the_authors_own_is_its_json():
    app = chat_server({"m": lambda messages: Cat(name="Tom")})
    assert chat(app, model="m").json["choices"][0]["message"]["content"] == '{"name": "Tom", "lives": 9}'


def test_a_dict_is_the_answer_where_json_is_asked_for():
    app = chat_server({"m": lambda messages: {"name": "Tom"}})
    form = {"type": "json_object"}
    assert chat(app, model="m", response_format=form).json["choices"][0]["message"]["content"] == '{"name": "Tom"}'


@pytest.mark.parametrize(
    "answer",
    [
        {"candidates": [{"name": "Tom"}]},
        {"type": "phone_call", "id": 1},
        {"type": "error", "message": "x"},
        {"type": "reasoning", "steps": 2},
        {"done": True, "response": {"a": 1}},
        {"object": "response", "a": 1},
    ],
    ids=str,
)
def test_json_that_looks_like_another_servers_is_json_where_json_is_asked_for(answer):
    app = chat_server({"m": lambda messages: answer})
    given = chat(app, model="m", response_format={"type": "json_object"})
    assert json.loads(given.json["choices"][0]["message"]["content"]) == answer


def test_an_item_of_no_known_type_is_no_answer():
    app = chat_server({"m": lambda messages: {"type": "phone_call", "id": "1", "secret": "x"}})
    answer = chat(app, model="m")
    assert answer.error["code"] == "unusable_output"


def cumulative(messages):
    text = ""
    for word in ("Hello", " there", ", my", " dear", " friend"):
        text += word
        yield text


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda messages: b"hello", "bytes"),
        (lambda messages: 7, "an int"),
        (lambda messages: object(), "an object"),
        (lambda messages: {"answer": "hello"}, "neither a delta nor a completion"),
        (lambda messages: {"content": 7}, "a content that is an int"),
        (lambda messages: ToolCall(arguments="{}"), "before its name"),
        (lambda messages: {"usage": {"prompt_tokens": "many"}}, "not integers"),
        (cumulative, "cumulative text"),
    ],
)
def test_what_is_not_accepted_says_so(function, says):
    seen = []
    app = chat_server({"m": function}, on_error=seen.append)
    answer = chat(app, model="m")
    assert answer.status == 500
    assert answer.error["code"] == "unusable_output"
    assert says in answer.error["message"]
    assert says in str(seen[0])
    assert answer.headers["x-should-retry"] == "false"


def test_growing_deltas_that_are_none_of_it():
    for items in (["1", "10", "100", "1000", "x"], ["a", "ab", "b", "c"], [" ", "  ", "   ", "    ", "x"]):
        app = chat_server({"m": lambda messages, items=items: iter(items)})
        assert chat(app, model="m", stream=True).text == "".join(items)


def test_a_choice_of_a_whole_completion_streams():
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"}
    completion = {
        **COMPLETION,
        "system_fingerprint": "fp",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    app = chat_server({"m": lambda messages: completion})
    chunks = chat(app, model="m", stream=True).chunks
    deltas = [one["choices"][0]["delta"] for one in chunks]
    assert deltas[1]["reasoning_content"] == "hm"
    assert deltas[2]["tool_calls"][0]["id"] == "call_1"
    assert deltas[3]["tool_calls"][0]["function"] == {"arguments": '{"a": 1}'}
    assert chunks[-1]["system_fingerprint"] == "fp"
    assert chat(app, model="m").json["system_fingerprint"] == "fp"


def test_an_sdk_stream_is_closed():
    closed = []

    class SdkStream:
        def __init__(self):
            self.parts = iter(["hello ", "you", "never"])

        def __aiter__(self):
            return self._iterate()

        async def _iterate(self):
            for part in self.parts:
                yield part

        async def close(self):
            closed.append(1)

    async def proxied(messages):
        await asyncio.sleep(0)
        return SdkStream()

    app = chat_server({"m": proxied})
    assert chat(app, model="m", stop="never").json["choices"][0]["message"]["content"] == "hello you"
    assert closed == [1]
