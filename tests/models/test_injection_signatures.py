"""What authors declare, and what they are told: gradio's signature, annotations, unknown names, odd answers, loops."""

import asyncio
import threading
import traceback
from collections.abc import Sequence
from typing import Annotated, Optional

import numpy
import pytest

from portico.models import chat_server, model
from tests.models.visitor import ask, chat

MESSAGES = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
]


def given_to(function, **more):
    answer = chat(chat_server({"m": function}), messages=MESSAGES, **more)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    "make",
    [
        lambda seen: lambda message, history: seen.extend((message, history)) or "x",
        lambda seen: lambda text, chat_history: seen.extend((text, chat_history)) or "x",
        lambda seen: lambda message, history, temperature=1: seen.extend((message, history)) or "x",
        lambda seen: lambda question, history=None: seen.extend((question, history)) or "x",
    ],
)
def test_gradios_signature_gets_the_text_and_the_history(make):
    seen = []
    given_to(make(seen))
    assert seen == ["three", MESSAGES[:3]]


def plain(anything: str):
    return anything


def or_none(input: Optional[str]):  # noqa: UP045 -- how authors write it
    return input


def new_style(text: str | None):
    return text


def said_of(q: Annotated[str, "a question"]):
    return q


def unevaluated(q: "str"):
    return q


async def asynchronous(request: str):
    yield request


def unannotated(message):
    return message


@pytest.mark.parametrize(
    "function",
    [plain, or_none, new_style, said_of, unevaluated, asynchronous, unannotated],
    ids=lambda one: one.__name__,
)
def test_a_lone_text_is_the_text_of_the_last_message(function):
    app = chat_server({"m": function})
    assert chat(app, messages=MESSAGES).json["choices"][0]["message"]["content"] == "three"
    assert ask(app, "POST", "/v1/completions", {"prompt": "p"}).json["choices"][0]["text"] == "p"
    assert ask(app, "POST", "/v1/responses", {"input": "i"}).json["output"][0]["content"][0]["text"] == "i"


def test_a_lone_list_is_the_messages():
    for annotation in (list, list[dict], Sequence[dict], "list[dict]"):
        seen = []

        def function(anything, seen=seen):
            seen.append(anything)
            return "x"

        function.__annotations__["anything"] = annotation
        given_to(function)
        assert seen == [MESSAGES]


def test_a_text_field_of_the_api_is_itself():
    def function(instructions: str):
        return instructions

    assert chat(chat_server({"m": function}), instructions="now").json["choices"][0]["message"]["content"] == "now"


def test_parameters_that_nothing_is_known_of_are_said():
    def function(messages, temprature, style, top_p, known="x", *, cancel):
        return "x"

    (remark,) = chat_server({"cat": function, "fine": lambda message, history: "x", "whole": lambda x: "x"}).remarks
    for word in ("'cat'", "'temprature'", "'style'", "'temperature'"):
        assert word in remark
    for word in ("top_p", "'known'", "cancel", "messages'"):
        assert word not in remark


@pytest.mark.parametrize(
    ("given", "works"),
    [
        (7, "str(...)"),
        (1.5, "str(...)"),
        (True, "str(...)"),
        (numpy.float32(1), "give"),
        ({"answer": "x"}, "{'content': ...}"),
        ({"output": {"text": "x"}}, "{'content': ...}"),
        ([["a"]], "one by one"),
        ([7], "str(...)"),
        (b"x", "decode"),
        (print, "call it"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused_with_what_would_work(given, works):
    seen = []
    app = chat_server({"m": lambda messages: given}, on_error=seen.append)
    for stream in (True, False):
        answer = chat(app, stream=stream)
        assert (answer.status, answer.error["code"]) == (500, "unusable_output")
        assert works in answer.error["message"]
    assert len(seen) == 2


def growing(*texts, wrap=lambda text: text):
    def function(messages):
        yield from map(wrap, texts)

    return function


@pytest.mark.parametrize(
    "function",
    [
        growing("H", "He", "Hel", "Hell", "Hello", "Hello ", "Hello y", "Hello yo", "Hello you"),
        growing("Hello", "Hello there", "Hello there, you"),
        growing("Hello", "Hello", "Hello there", "Hello there", "Hello there, you", "Hello there, you two"),
        growing("Hello", "Hello there", "Hello there, you", "Hello there, you!", wrap=lambda text: {"content": text}),
        growing("", "Hello", "Hello there", "Hello there, you", "Hello there, you!"),
    ],
)
def test_cumulative_text_is_said(function):
    seen = []
    app = chat_server({"m": function}, on_error=seen.append)
    assert "cumulative" in chat(app).error["message"]
    assert "cumulative" in chat(app, stream=True).events[-2]["error"]["message"]
    assert "only what is new" in str(seen[0])


@pytest.mark.parametrize(
    "texts",
    [["ha", "haha", "x"], ["a"] * 100, ["no ", "no ", "no "], ["1", "10", "100", "1000"], ["Hello", "Hello you"]],
)
def test_deltas_that_begin_alike_are_deltas(texts):
    app = chat_server({"m": growing(*texts)})
    assert chat(app, stream=True).text == "".join(texts)


@pytest.mark.parametrize(
    "vectors",
    [
        lambda: [[numpy.float32(1), numpy.float32(2)]],
        lambda: [numpy.float32(1), numpy.float32(2)],
        lambda: [numpy.array(1.0), numpy.array(2.0)],
        lambda: [numpy.array([1, 2], dtype=numpy.float16)],
        lambda: numpy.array([[1, 2]], dtype=numpy.int64),
        lambda: (numpy.float64(1), numpy.float64(2)),
        lambda: iter([numpy.float32(1), numpy.float32(2)]),
    ],
)
def test_nested_numbers_of_numpy_are_an_embedding(vectors):
    app = chat_server(model("v", kind="embedding")(lambda texts: vectors()))
    (row,) = ask(app, "POST", "/v1/embeddings", {"input": "x"}).json["data"]
    assert row["embedding"] == [1.0, 2.0]


def test_what_belongs_to_another_loop_is_explained():
    """A queue that is waited for on one loop, used on another."""
    there = asyncio.new_event_loop()
    thread = threading.Thread(target=there.run_forever)
    thread.start()
    try:
        queue = asyncio.Queue()
        waiting = asyncio.run_coroutine_threadsafe(queue.get(), there)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), there).result(10)

        async def function(messages):
            return await queue.get()

        seen = []
        assert chat(chat_server({"m": function}, on_error=seen.append)).status == 500
        assert "--kernel-loop" in "".join(traceback.format_exception(seen[0]))
        there.call_soon_threadsafe(queue.put_nowait, "x")
        assert waiting.result(10) == "x"
    finally:
        there.call_soon_threadsafe(there.stop)
        thread.join(10)
        there.close()
