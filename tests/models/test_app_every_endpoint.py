"""What holds for every endpoint alike: its paths, its headers, the fields it takes, leaving and failing."""

import asyncio
import inspect
import threading
import time

import openai
import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from portico.models import Text, ToolCall, chat_server, model
from tests.models.visitor import MESSAGES, ask, chat, visit

ENDPOINTS = {
    "chat/completions": ({"model": "m", "messages": MESSAGES}, ChatCompletion),
    "completions": ({"model": "m", "prompt": "x"}, Completion),
    "embeddings": ({"model": "v", "input": "x"}, CreateEmbeddingResponse),
    "responses": ({"model": "m", "input": "x"}, Response),
}
CHAT = [path for path in ENDPOINTS if path != "embeddings"]


def talks(messages):
    yield "one "
    yield "two"


@model(kind="embedding")
def vectors(texts):
    return [[1.0]] * len(texts)


APP = chat_server({"m": talks, "v": vectors})


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_paths_with_v1_and_without(path, prefix):
    body, shape = ENDPOINTS[path]
    shape.model_validate(ask(APP, "POST", f"{prefix}/{path}", body).json)


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_stored_responses_with_v1_and_without(prefix):
    id = ask(APP, "POST", f"{prefix}/responses", ENDPOINTS["responses"][0]).json["id"]
    assert ask(APP, "GET", f"{prefix}/responses/{id}").json["id"] == id
    assert len(ask(APP, "GET", f"{prefix}/responses/{id}/input_items").json["data"]) == 1
    assert ask(APP, "POST", f"{prefix}/responses/{id}/cancel").json["status"] == "completed"
    assert ask(APP, "DELETE", f"{prefix}/responses/{id}").json == {"id": id, "object": "response", "deleted": True}
    assert ask(APP, "GET", f"{prefix}/health").json == {"status": "ok", "models": 2}


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("wrong", [True, False])
def test_every_answer_has_an_id_of_its_request(path, wrong):
    body = {} if wrong else ENDPOINTS[path][0]
    ids = [ask(APP, "POST", f"/v1/{path}", body).headers["x-request-id"] for _ in range(2)]
    assert all(id.startswith("req_") for id in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("path", CHAT)
def test_every_stream_has_the_headers_of_one(path):
    answer = ask(APP, "POST", f"/v1/{path}", {**ENDPOINTS[path][0], "stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.events[-1] == "[DONE]"
    assert sum(frame == b"data: [DONE]\n\n" for frame in answer.frames) == 1


def test_signs_of_life_come_after_ten_seconds():
    assert inspect.signature(chat_server).parameters["keep_alive"].default == 10


FIELDS = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50256": -100},
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "metadata": {"chat": "1"},
    "modalities": ["text"],
    "reasoning_effort": "low",
    "service_tier": "auto",
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
    "web_search_options": {},
    "top_k": 40,
    "chat_template_kwargs": {"enable_thinking": False},
    "stream_options": {"include_usage": True, "include_obfuscation": False},
}


def test_every_field_reaches_the_function_and_nothing_that_does_not_apply_is_refused():
    seen = []
    app = chat_server({"m": lambda request: seen.append(request) or "x"})
    body = {"model": "m", "messages": MESSAGES, **FIELDS}
    assert chat(app, **body).status == 200
    assert seen == [body]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_may_be_asked_for_by_name(field):
    seen = []
    space = {"seen": seen}
    exec(f"def function(messages, {field}):\n    seen.append({field})\n    return 'x'", space)
    assert chat(chat_server({"m": space["function"]}), **FIELDS).status == 200
    assert seen == [FIELDS[field]]


@pytest.mark.parametrize(
    "field", [*FIELDS, "n", "stop", "temperature", "max_tokens", "response_format", "stream", "user"]
)
def test_null_is_as_good_as_absent(field):
    assert chat(APP, model="m", **{field: None}).json["choices"][0]["message"]["content"] == "one two"


LOGPROBS = [
    {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1.5, "bytes": [98]}]}
]


@pytest.mark.parametrize("stream", [True, False])
def test_logprobs_in_the_form_of_completions(stream):
    app = chat_server({"m": lambda prompt: Text("a", logprobs=LOGPROBS)})
    answer = ask(app, "POST", "/v1/completions", {"prompt": "x", "logprobs": 1, "stream": stream})
    choice = (answer.chunks[0] if stream else answer.json)["choices"][0]
    assert choice["logprobs"] == {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"b": -1.5}]}


def test_logprobs_in_the_form_of_responses():
    app = chat_server({"m": lambda prompt: Text("a", logprobs=LOGPROBS)})
    events = ask(app, "POST", "/v1/responses", {"input": "x", "stream": True}).chunks
    (delta,) = [event for event in events if event["type"] == "response.output_text.delta"]
    assert delta["logprobs"] == LOGPROBS
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == LOGPROBS


def test_exactly_one_finish_reason_on_an_empty_delta_whatever_the_model_gives():
    def finishes_often(messages):
        yield ToolCall("f", {})
        for _ in range(3):
            yield {"content": "x", "finish_reason": "length"}

    chunks = chat(chat_server({"m": finishes_often}), stream=True).chunks
    ended = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["finish_reason"] is not None]
    assert [(choice["finish_reason"], choice["delta"]) for choice in ended] == [("length", {})]
    assert chunks[-1]["choices"][0] is ended[0]
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in chunks[1:])


@pytest.mark.parametrize("way", ["on the loop", "on a thread"])
def test_leaving_while_vectors_are_made(way):
    begun, closed = threading.Event(), threading.Event()

    @model(kind="embedding")
    async def on_the_loop(texts):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    @model(kind="embedding")
    def on_a_thread(texts, cancel):
        begun.set()
        while not cancel.is_set():
            time.sleep(0.001)
        closed.set()

    async def run():
        app = chat_server({"v": on_the_loop if way == "on the loop" else on_a_thread})
        leaving = asyncio.Event()
        task = asyncio.create_task(visit(app, "POST", "/v1/embeddings", {"input": "x"}, leaving=leaving))
        assert await asyncio.to_thread(begun.wait, 5)
        leaving.set()
        await asyncio.wait_for(task, 5)
        assert await asyncio.to_thread(closed.wait, 1)

    asyncio.run(run())


@pytest.mark.parametrize("status", [None, 500, 503, 501])
def test_the_sdk_runs_a_failing_function_once_at_every_endpoint(status, sdk):
    from portico.models import APIError

    runs = []

    def fails(request):
        runs.append(1)
        raise ValueError("x") if status is None else APIError("Not now.", status)

    app = chat_server(
        {"m": fails, "v": model(kind="embedding")(lambda texts: fails(None))}, on_error=lambda error: None
    )
    client = sdk(app)
    for call in (
        lambda: client.chat.completions.create(model="m", messages=MESSAGES),
        lambda: client.completions.create(model="m", prompt="x"),
        lambda: client.responses.create(model="m", input="x"),
        lambda: client.embeddings.create(model="v", input="x"),
    ):
        runs.clear()
        with pytest.raises(openai.APIStatusError):
            call()
        assert len(runs) == 1


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_model_of_none_such_name_is_404_at_every_endpoint(path):
    answer = ask(APP, "POST", f"/v1/{path}", {**ENDPOINTS[path][0], "model": "nope"})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "model_not_found", "model")
