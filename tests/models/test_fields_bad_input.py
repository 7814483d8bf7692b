"""Requests that no function should see: 400 in the OpenAI shape, naming the parameter."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portico.models import chat_server, model
from tests.models.visitor import MESSAGES, ask

REACHED = []


def chatty(request):
    REACHED.append(request)
    return "x"


@model("v", kind="embedding")
def vectors(texts):
    REACHED.append(texts)
    return [[1.0]] * len(texts)


APP = chat_server({"m": chatty, "v": vectors}, on_error=REACHED.append)


def image(url):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def schema(value):
    return {"type": "json_schema", "json_schema": {"name": "x", **value}}


CHAT = [
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": image("data:image/png;base64,@@@")}, "messages[0].content[0].image_url.url"),
    ({"messages": image(7)}, "messages[0].content[0].image_url.url"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "a"}}]}]},
        "messages[0].content[0].input_audio.data",
    ),
    ({"messages": [{"role": "assistant", "tool_calls": "x"}]}, "messages[0].tool_calls"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
        "messages[0].tool_calls[0].function.name",
    ),
    ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "a\ud800b"}]}, "messages[0].content"),
    ({"model": 7}, "model"),
    ({"model": None}, None),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": True}, "n"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": -1}, "top_p"),
    ({"max_tokens": -2}, "max_tokens"),
    ({"max_completion_tokens": "7"}, "max_completion_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"stop": 7}, "stop"),
    ({"stop": ["a", 7]}, "stop"),
    ({"stop": ["a"] * 17}, "stop"),
    ({"stop": ["a", "b" * 4097]}, "stop"),
    ({"tools": {}}, "tools"),
    ({"tools": [7]}, "tools[0]"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
    ({"tool_choice": "perhaps"}, "tool_choice"),
    ({"functions": [{}]}, "functions[0].name"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": schema({})}, "response_format.json_schema.schema"),
    ({"response_format": schema({"schema": []})}, "response_format.json_schema.schema"),
    ({"response_format": schema({"schema": {"type": "nonsense"}})}, "response_format.json_schema.schema"),
    ({"response_format": schema({"schema": {"$schema": 7}})}, "response_format.json_schema.schema"),
]


def refused(path, body, param):
    before = len(REACHED)
    answer = ask(APP, "POST", f"/v1/{path}", body)
    assert answer.status == 400, (answer.status, answer.body)
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"] == param
    assert answer.error["message"]
    assert len(REACHED) == before


@pytest.mark.parametrize(("fields", "param"), [row for row in CHAT if row[1]], ids=lambda value: str(value)[:60])
def test_chat(fields, param):
    refused("chat/completions", {"model": "m", "messages": MESSAGES, **fields}, param)
    if param not in ("stream", "n"):
        refused("chat/completions", {"model": "m", "messages": MESSAGES, "stream": True, **fields}, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": [None]}, "prompt"),
        ({"prompt": ["a", "b"], "n": 100}, "n"),
        ({"prompt": "a", "echo": "yes"}, "echo"),
    ],
    ids=str,
)
def test_completions(fields, param):
    refused("completions", {"model": "m", **fields}, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": 7}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": ["a", {}]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": 65_537}, "dimensions"),
        ({"input": "a", "dimensions": 1.5}, "dimensions"),
        ({"input": "a", "user": 7}, "user"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_embeddings(fields, param):
    refused("embeddings", {"model": "v", **fields}, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": 7}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "x"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "x"}]}, "input[0].output"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].id"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "text": "json"}, "text"),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"input": "x", "reasoning": "hard"}, "reasoning"),
        ({"input": "x", "max_output_tokens": -2}, "max_output_tokens"),
        ({"input": "x", "background": True, "store": False}, "background"),
        ({"input": "x", "previous_response_id": 7}, "previous_response_id"),
    ],
    ids=str,
)
def test_responses(fields, param):
    refused("responses", {"model": "m", **fields}, param)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "content": 7, "summary": "x"},
        {"type": "reasoning", "content": ["x", {"text": 7}]},
        {"type": "shell_call_output", "call_id": 7, "output": [{"type": "input_text"}]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
        {"type": "computer_call_output", "output": 7},
        {"type": "mcp_call", "name": 7, "arguments": ["x"]},
        {"type": "local_shell_call", "action": "ls"},
        {"type": "image_generation_call", "result": {"a": 1}},
        {"type": "mcp_approval_response"},
        {"type": "_call"},
        {"type": "_output"},
        {"type": "call"},
    ],
    ids=str,
)
def test_items_that_nobody_checks_reach_the_function_all_the_same(item):
    given = [{"role": "user", "content": "x"}, item, {"role": "assistant", "content": "x"}]
    tools = [{"type": "namespace"}, {"type": "namespace", "name": "n", "tools": 7}, {"type": "custom", "custom": 7}]
    answer = ask(APP, "POST", "/v1/responses", {"model": "m", "input": given, "tools": tools})
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  ",
        b"{",
        b"hello",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"messages": NaN}',
        b'{"messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x", "model": "m", "own": NaN}',
        b'{"messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x", "model": "v", "own": Infinity}',
        b'{"n": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"a\\u0000": 1}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\x00"}',
    ],
    ids=lambda raw: raw[:20],
)
@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "responses"])
def test_bodies_that_are_no_json_object(path, raw):
    before = len(REACHED)
    answer = ask(APP, "POST", f"/v1/{path}", raw)
    assert answer.status == 400, answer.body
    assert answer.error["type"] == "invalid_request_error"
    assert len(REACHED) == before


def test_a_deep_field_is_named():
    deep = json.loads("[" * 80 + "]" * 80)
    refused("chat/completions", {"model": "m", "messages": MESSAGES, "extra": deep}, "extra")


def test_a_compressed_body_is_refused():
    answer = ask(APP, "POST", "/v1/chat/completions", b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status == 400


def test_a_body_over_the_limit_is_413():
    app = chat_server({"m": chatty}, max_body=100)
    body = {"messages": [{"role": "user", "content": "x" * 200}]}
    for headers in ({}, {"Content-Length": "300"}):
        answer = ask(app, "POST", "/v1/chat/completions", body, headers=headers)
        assert answer.status == 413
        assert answer.error["code"] == "request_too_large"


def test_images_audio_and_files_pass_through():
    content = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "of_tomorrow", "value": 1},
    ]
    messages = [{"role": "user", "content": content}]
    assert ask(APP, "POST", "/v1/chat/completions", {"model": "m", "messages": messages}).status == 200
    assert REACHED[-1]["messages"] == messages


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    *("messages", "prompt", "input", "model", "stream", "stream_options", "n", "stop", "tools", "tool_choice", "user"),
    *("functions", "response_format", "text", "temperature", "max_tokens", "instructions", "previous_response_id"),
    *("reasoning", "metadata", "background", "store"),
)
KNOWN = st.sampled_from(FIELDS)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(["chat/completions", "completions", "embeddings", "responses"]),
    body=st.dictionaries(KNOWN, JSON, max_size=5),
)
def test_any_json_gives_an_answer_or_a_4xx(path, body):
    base = {"messages": MESSAGES, "prompt": "x", "input": "x", "model": "v" if path == "embeddings" else "m"}
    raw = json.dumps({**base, **body}).encode()
    answer = ask(APP, "POST", f"/v1/{path}", raw)
    assert answer.status in (200, 400, 404, 501), answer.body
