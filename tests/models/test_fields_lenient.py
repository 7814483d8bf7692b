"""What clients send that is not quite as the reference has it, and is understood all the same."""

import gzip
import json
import zlib

import pytest

from portico.models import Reasoning, ToolCall, chat_server
from tests.models.visitor import MESSAGES, ask, chat

RESPONSES = "/v1/responses"
GIVEN = {"role": "user", "content": "x"}


def seen_of(path, **fields):
    """The request as a function gets it."""
    seen = []
    answer = ask(chat_server({"m": lambda request: seen.append(request) or "x"}), "POST", f"/v1/{path}", fields)
    assert answer.status == 200, answer.body
    return seen[0]


@pytest.mark.parametrize("none", [0, -1, 0.0, -1.0])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_no_limit_of_tokens(field, none):
    for path, fields in (
        ("chat/completions", {"messages": MESSAGES}),
        ("completions", {"prompt": "x"}),
        ("responses", {"input": "x"}),
    ):
        request = seen_of(path, **fields, **{field: none})
        assert "max_tokens" not in request
        assert field not in request
    app = chat_server({"m": lambda messages: "one two three"}, tokenizer=str.split)
    assert chat(app, **{field: none}).json["choices"][0]["message"]["content"] == "one two three"
    for wrong in (-2, False, "0"):
        assert chat(app, **{field: wrong}).error["param"] == field


def test_an_empty_name_of_a_model_where_there_is_one():
    app = chat_server({"m": lambda messages, model: model})
    assert chat(app, model="").json["choices"][0]["message"]["content"] == "m"
    two = chat_server({"m": lambda messages: "x", "n": lambda messages: "x"})
    assert chat(two, model="").status == 404


@pytest.mark.parametrize(
    ("arguments", "text"), [(None, "{}"), ({"a": 1}, '{"a": 1}'), ("", "{}"), ({}, "{}"), ('{"a": 1}', '{"a": 1}')]
)
def test_arguments_in_the_history(arguments, text):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    legacy = {"name": "f", "arguments": arguments}
    history = [{"role": "assistant", "content": None, "tool_calls": [call], "function_call": legacy}]
    (message,) = seen_of("chat/completions", messages=history)["messages"]
    assert message["tool_calls"][0]["function"]["arguments"] == text
    assert message["function_call"]["arguments"] == text
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}
    assert seen_of("responses", input=[item])["messages"][0]["tool_calls"][0]["function"]["arguments"] == text


def test_base64_without_padding():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI"}},
        {"type": "image_url", "image_url": "data:image/png;base64,QQ"},
        {"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,QQ", "filename": "a"}},
        {"type": "file", "file": {"file_data": "QUJD", "filename": "a"}},
    ]
    (message,) = seen_of("chat/completions", messages=[{"role": "user", "content": parts}])["messages"]
    one, two, audio, file, whole = message["content"]
    assert one["image_url"]["url"] == "data:image/png;base64,QUI="
    assert two["image_url"] == "data:image/png;base64,QQ=="
    assert audio["input_audio"]["data"] == "QQ=="
    assert file["file"]["file_data"] == "data:text/plain;base64,QQ=="
    assert whole["file"]["file_data"] == "QUJD"


def test_an_input_of_no_items():
    assert seen_of("responses", input=[])["messages"] == [{"role": "user", "content": ""}]
    assert seen_of("responses", input=[], instructions="Be kind.")["messages"] == [
        {"role": "system", "content": "Be kind."}
    ]


def test_a_nul_in_what_a_tool_or_a_model_gave():
    history = [{"role": "assistant", "content": "a\0"}, {"role": "tool", "tool_call_id": "c", "content": "a\0b"}]
    assert seen_of("chat/completions", messages=history)["messages"] == history
    outputs = [
        {"type": "function_call_output", "call_id": "c", "output": "a\0b"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a\0b"}]},
        {"type": "shell_call_output", "call_id": "c", "output": "a\0b"},
    ]
    for output in outputs:
        assert seen_of("responses", input=[output])["messages"][0]["content"] == "a\0b"
    app = chat_server({"m": lambda messages: "x"})
    for refused in ({"role": "user", "content": "\0"}, {"role": "tool", "tool_call_id": "c", "content": "\ud800"}):
        assert chat(app, messages=[refused]).error["param"] == "messages[0].content"
    assert ask(app, "POST", RESPONSES, {"input": [{"role": "user", "content": "\0"}]}).status == 400


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


BODY = json.dumps({"messages": MESSAGES}).encode()


def sent(data, coding, **options):
    app = chat_server({"m": lambda messages: messages[-1]["content"]}, **options)
    return ask(app, "POST", "/v1/chat/completions", data, headers={"content-encoding": coding})


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
)
def test_a_compressed_body(coding, encode):
    answer = sent(encode(BODY), coding)
    assert answer.json["choices"][0]["message"]["content"] == "hello"


def test_a_compressed_body_that_cannot_be_read():
    for coding in ("br", "zstd", "gzip, deflate"):
        answer = sent(BODY, coding)
        assert (answer.status, answer.error["code"]) == (415, "content_encoding")
        assert answer.headers["accept-encoding"] == "gzip, deflate"
    whole = gzip.compress(BODY)
    for data, coding in (
        (whole[:-2], "gzip"),
        (BODY, "gzip"),
        (b"", "gzip"),
        (b"\x78\x9c", "deflate"),
        (BODY, "deflate"),
    ):
        answer = sent(data, coding)
        assert (answer.status, answer.error["code"]) == (400, "content_encoding"), (data, coding)


def test_a_bomb_is_stopped_at_the_limit():
    """64 MiB in 64 KiB."""
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
    answer = sent(bomb, "gzip", max_body=1 << 20)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


HIGH, LOW = "\ud83d", "\ude00"


@pytest.mark.parametrize("plain", [0, 12])
def test_a_surrogate_pair_in_two_pieces(plain):
    def model(messages):
        yield from ["x "] * plain
        yield f"a{HIGH}"
        yield f"{LOW}b"
        yield HIGH
        yield LOW
        yield "c"
        yield HIGH  # alone
        yield "d"
        yield "e" + HIGH

    app = chat_server({"m": model})
    wanted = "x " * plain + "a\U0001f600b\U0001f600c\ufffdde\ufffd"
    assert chat(app, stream=True).text == wanted
    assert chat(app).json["choices"][0]["message"]["content"] == wanted
    events = ask(app, "POST", RESPONSES, {"input": "x", "stream": True}).chunks
    assert "".join(event.get("delta", "") for event in events) == wanted
    chunks = ask(app, "POST", "/v1/completions", {"prompt": "x", "stream": True}).chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == wanted


def test_a_surrogate_pair_in_two_pieces_of_reasoning_deltas_and_arguments():
    def model(messages):
        yield Reasoning(HIGH)
        yield Reasoning(LOW)
        yield {"content": HIGH}
        yield {"content": LOW}
        yield ToolCall("f", '{"a": "' + HIGH, index=0)
        yield ToolCall(None, LOW + '"}', index=0)

    app = chat_server({"m": model})
    for stream in (True, False):
        answer = chat(app, stream=stream)
        key = "delta" if stream else "message"
        deltas = [one["choices"][0][key] for one in (answer.chunks if stream else [answer.json])]
        assert "".join(delta.get("content") or "" for delta in deltas) == "\U0001f600"
        assert "".join(delta.get("reasoning") or "" for delta in deltas) == "\U0001f600"
        calls = [call["function"].get("arguments", "") for delta in deltas for call in delta.get("tool_calls", ())]
        assert json.loads("".join(calls)) == {"a": "\U0001f600"}


@pytest.mark.parametrize("asked", ["auto", "concise", "detailed"])
def test_reasoning_as_a_summary_for_clients_that_ask(asked):
    def model(messages):
        yield Reasoning("let me ")
        yield Reasoning("think")
        yield "Hello"

    app = chat_server({"m": model})
    body = {"input": "x", "stream": True}
    events = ask(app, "POST", RESPONSES, {**body, "reasoning": {"summary": asked}}).chunks
    summary = [event for event in events if "reasoning_summary" in event["type"]]
    assert [event["type"].removeprefix("response.reasoning_summary_") for event in summary] == [
        *("part.added", "text.delta", "text.delta", "text.done", "part.done")
    ]
    assert "".join(event["delta"] for event in summary if "delta" in event) == "let me think"
    assert summary[-2]["text"] == summary[-1]["part"]["text"] == "let me think"
    item = events[-1]["response"]["output"][0]
    assert item["summary"] == [{"type": "summary_text", "text": "let me think"}]
    assert item["content"] == [{"type": "reasoning_text", "text": "let me think"}]
    assert any(event["type"] == "response.reasoning_text.delta" for event in events)
    plain = ask(app, "POST", RESPONSES, body).chunks
    assert not any("summary" in event["type"] for event in plain)
    assert plain[-1]["response"]["output"][0]["summary"] == []


@pytest.mark.parametrize("delta", [lambda text: {"refusal": text}, lambda text: {"audio": {"transcript": text}}])
def test_a_surrogate_pair_in_two_pieces_of_other_keys(delta):
    def text_in(delta):
        return delta.get("refusal") or (delta.get("audio") or {}).get("transcript") or ""

    for pieces, text in (
        (("a\ud83d", "\ude00b"), "a\U0001f600b"),
        (("a\ud83d", "b"), "a\ufffdb"),
        (("a\ud83d",), "a\ufffd"),
    ):
        app = chat_server({"m": lambda messages, pieces=pieces: map(delta, pieces)})
        assert text_in(chat(app).json["choices"][0]["message"]) == text
        deltas = [chunk["choices"][0]["delta"] for chunk in chat(app, stream=True).chunks]
        assert "".join(map(text_in, deltas)) == text
        if "refusal" in delta(""):
            events = ask(app, "POST", "/v1/responses", {"input": "x", "stream": True}).chunks
            assert "".join(one["delta"] for one in events if one["type"] == "response.refusal.delta") == text


def test_half_of_a_pair_at_the_end_of_a_custom_tools_input():
    def model(messages):
        yield ToolCall("p", "a\ud83d", type="custom")
        yield ToolCall("q", "b", type="custom")

    message = chat(chat_server({"m": model})).json["choices"][0]["message"]
    assert [call["custom"]["input"] for call in message["tool_calls"]] == ["a\ufffd", "b"]


def test_null_where_a_tool_gave_nothing_or_got_nothing():
    seen = []
    call = {"id": "c", "type": "custom", "custom": {"name": "p", "input": None}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": None},
    ]
    app = chat_server({"m": lambda messages: seen.append(messages) or "x"})
    assert chat(app, messages=messages).status == 200
    ((assistant, tool),) = seen
    assert assistant["tool_calls"][0]["custom"]["input"] == ""
    assert tool["content"] == ""
