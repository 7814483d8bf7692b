"""The exact bytes and headers of chat/completions."""

import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from portico.models import Finish, Reasoning, Text, ToolCall, Usage, chat_server
from tests.models.visitor import MESSAGES, Answer, ask, chat


async def words(messages):
    for word in ("one ", "two ", "three ", "four ", "five ", "six"):
        yield word


def valid(answer: Answer) -> list[dict]:
    for chunk in answer.chunks:
        ChatCompletionChunk.model_validate(chunk)
    return answer.chunks


def test_a_stream_is_role_then_deltas_then_finish_then_done():
    answer = chat(chat_server({"m": words}), model="m", stream=True)
    chunks = valid(answer)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"].startswith("req_")
    assert len({chunk["id"] for chunk in chunks}) == len({chunk["created"] for chunk in chunks}) == 1
    assert {chunk["model"] for chunk in chunks} == {"m"}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert deltas[1:-1] == [{"content": word} for word in ("one ", "two ", "three ", "four ", "five ", "six")]
    assert deltas[-1] == {}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * 7 + ["stop"]
    assert all("usage" not in chunk for chunk in chunks)


def test_each_send_is_one_frame():
    answer = chat(chat_server({"m": words}), model="m", stream=True)
    assert all(frame.startswith(b"data: ") and frame.endswith(b"\n\n") for frame in answer.frames)
    assert all(frame.count(b"\n\n") == 1 for frame in answer.frames)
    assert answer.frames[-1] == b"data: [DONE]\n\n"


def test_usage_comes_last_and_only_when_asked_for():
    answer = chat(chat_server({"m": words}), model="m", stream=True, stream_options={"include_usage": True})
    chunks = valid(answer)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["estimated"] is True
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_a_whole_answer():
    answer = chat(chat_server({"m": words}), model="m")
    completion = ChatCompletion.model_validate(answer.json)
    assert completion.choices[0].message.content == "one two three four five six"
    assert completion.choices[0].finish_reason == "stop"
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_tool_calls_begin_with_index_id_type_and_name():
    def tools(messages):
        yield ToolCall("a", {"x": 1})
        yield ToolCall("b", index=1)
        yield ToolCall(index=1, arguments='{"y":')
        yield ToolCall(arguments=" 2}")

    app = chat_server({"m": tools})
    chunks = valid(chat(app, model="m", stream=True))
    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[1:-1]]
    assert [call["index"] for call in calls] == [0, 0, 1, 1, 1]
    assert calls[0].pop("id").startswith("call_")
    assert calls[0] == {"index": 0, "type": "function", "function": {"name": "a", "arguments": ""}}
    assert calls[1] == {"index": 0, "function": {"arguments": '{"x": 1}'}}
    assert calls[3] == {"index": 1, "function": {"arguments": '{"y":'}}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    message = ChatCompletion.model_validate(chat(app, model="m").json).choices[0].message
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [{"x": 1}, {"y": 2}]
    assert message.content is None


def test_functions_of_the_older_api_come_back_as_function_call():
    def old(tools):
        assert tools == [{"type": "function", "function": {"name": "f"}}]
        return ToolCall("f", "{}")

    app = chat_server({"m": old})
    whole = chat(app, model="m", functions=[{"name": "f"}]).json
    assert whole["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert whole["choices"][0]["finish_reason"] == "function_call"
    ChatCompletion.model_validate(whole)
    chunks = valid(chat(app, model="m", functions=[{"name": "f"}], stream=True))
    assert [chunk["choices"][0]["delta"] for chunk in chunks[1:3]] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]


def test_reasoning_goes_out_under_both_names():
    def thinks(messages):
        yield Reasoning("hm")
        yield "yes"

    app = chat_server({"m": thinks})
    assert valid(chat(app, model="m", stream=True))[1]["choices"][0]["delta"] == {
        "reasoning_content": "hm",
        "reasoning": "hm",
    }
    message = chat(app, model="m").json["choices"][0]["message"]
    assert (message["reasoning_content"], message["reasoning"], message["content"]) == ("hm", "hm", "yes")


def test_logprobs_usage_finish_and_other_keys_are_passed_on():
    logprobs = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]

    def full(messages):
        yield Text("a", logprobs=logprobs)
        yield {"refusal": "no", "audio": {"id": "x", "data": "AA"}}
        yield {"audio": {"data": "BB"}}
        yield Usage(3, 4, details={"prompt_tokens_details": {"cached_tokens": 2}})
        yield Finish("length")

    app = chat_server({"m": full})
    whole = chat(app, model="m").json
    ChatCompletion.model_validate({**whole, "choices": []})
    choice = whole["choices"][0]
    assert choice["logprobs"]["content"] == logprobs
    assert choice["finish_reason"] == "length"
    assert choice["message"]["refusal"] == "no"
    assert choice["message"]["audio"] == {"id": "x", "data": "AABB"}
    assert whole["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    chunks = valid(chat(app, model="m", stream=True))
    assert chunks[1]["choices"][0]["logprobs"]["content"] == logprobs
    assert chunks[2]["choices"][0]["delta"] == {"refusal": "no", "audio": {"id": "x", "data": "AA"}}


def test_n_runs_the_function_for_each_choice():
    runs = []

    async def counts(messages):
        runs.append(1)
        yield f"answer {len(runs)}"

    app = chat_server({"m": counts})
    whole = ChatCompletion.model_validate(chat(app, model="m", n=3).json)
    assert [choice.message.content for choice in whole.choices] == ["answer 1", "answer 2", "answer 3"]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    chunks = valid(chat(app, model="m", n=2, stream=True))
    finishes = [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert [choice["index"] for choice in finishes] == [0, 1]


def test_a_function_that_gives_all_choices_itself_runs_once():
    runs = []

    def all_of_them(request):
        runs.append(1)
        return {
            "choices": [
                {"index": index, "message": {"role": "assistant", "content": str(index)}, "finish_reason": "stop"}
                for index in range(request["n"])
            ]
        }

    whole = chat(chat_server({"m": all_of_them}), model="m", n=3).json
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["0", "1", "2"]
    assert len(runs) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_text_that_is_hard_to_write(stream):
    text = 'quote " backslash \\ newline \n nul \x00 next-line \x85 separator \u2028 emoji 😀 lone \ud83d end'

    def hard(messages):
        yield from (text, *"abcdef", text)

    answer = chat(chat_server({"m": hard}), model="m", stream=stream)
    got = answer.text if stream else answer.json["choices"][0]["message"]["content"]
    mended = text.replace("\ud83d", "�")
    assert got == mended + "abcdef" + mended
    assert b"\\ud83d\\ude00" in answer.body
    assert b"\\ud83d " not in answer.body
    answer.body.decode("ascii")


def test_an_empty_answer_is_still_an_answer():
    async def nothing(messages):
        for item in (None, ""):
            yield item

    app = chat_server({"m": nothing})
    assert [chunk["choices"][0]["delta"] for chunk in valid(chat(app, model="m", stream=True))] == [
        {"role": "assistant", "content": ""},
        {},
    ]
    assert chat(app, model="m").json["choices"][0]["message"]["content"] == ""


def test_a_post_to_the_base_url_is_a_chat():
    app = chat_server({"m": words})
    for path in ("", "/", "/v1", "/v1/", "/chat/completions", "/v1/chat/completions/"):
        assert ask(app, "POST", path, {"model": "m", "messages": MESSAGES}).json["object"] == "chat.completion", path


def test_the_model_may_be_left_out_where_there_is_one():
    assert chat(chat_server({"m": words})).json["model"] == "m"
    assert chat(chat_server({"m": words, "k": words})).error["param"] == "model"
