"""Errors, as the client and the author see them."""

import asyncio
import json
import logging

import openai
import pytest

from portico.errors import InvalidOption, NotServable
from portico.models import APIError, chat_server, model
from tests.models.visitor import MESSAGES, ask, chat, visit

SECRET = "/home/alice/secret.txt"


def raises_early(messages):
    raise FileNotFoundError(2, "No such file", SECRET)


async def raises_early_async(messages):
    raise ValueError(SECRET)
    yield


def raises_late(messages):
    yield "one"
    raise ValueError(SECRET)


async def raises_late_async(messages):
    yield "one"
    raise ValueError(SECRET)


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("function", [raises_early, raises_early_async])
def test_an_early_exception_has_a_status(function, stream, threads):
    seen = []
    app = chat_server({"m": function}, on_error=seen.append, threads=threads)
    for path, more in (
        ("chat/completions", {"messages": MESSAGES}),
        ("completions", {"prompt": "x"}),
        ("responses", {"input": "x"}),
    ):
        answer = ask(app, "POST", f"/v1/{path}", {**more, "stream": stream})
        assert answer.status == 500
        assert answer.error["type"] == "server_error"
        assert answer.error["code"] == "model_error"
        assert answer.headers["x-should-retry"] == "false"
        assert SECRET.encode() not in answer.body
        assert b"Traceback" not in answer.body
        assert b".py" not in answer.body
    assert len(seen) == 3
    assert seen[0].__traceback__ is not None


@pytest.mark.parametrize("function", [raises_late, raises_late_async])
def test_a_late_exception_is_an_error_frame_then_done(function):
    seen = []
    app = chat_server({"m": function}, on_error=seen.append)
    for path, more in (("chat/completions", {"messages": MESSAGES}), ("completions", {"prompt": "x"})):
        answer = ask(app, "POST", f"/v1/{path}", {**more, "stream": True})
        assert answer.status == 200
        events = answer.events
        assert events[-1] == "[DONE]"
        assert events[-2]["error"]["code"] == "model_error"
        assert sum("error" in event for event in events[:-1]) == 1
        assert SECRET.encode() not in answer.body
        assert answer.ended
    events = ask(app, "POST", "/v1/responses", {"input": "x", "stream": True}).chunks
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert SECRET not in json.dumps(events)
    assert len(seen) == 3


def test_without_a_hook_the_traceback_is_logged(caplog):
    with caplog.at_level(logging.ERROR):
        chat(chat_server({"m": raises_early}))
    assert "FileNotFoundError" in caplog.text


def test_a_hook_that_fails_does_not_hide_the_models_failure(caplog):
    def hook(error):
        raise RuntimeError("hook")

    assert chat(chat_server({"m": raises_early}, on_error=hook)).error["code"] == "model_error"
    assert "on_error failed" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 501, 503])
def test_an_author_may_answer_with_any_error(status):
    def refuses(messages):
        raise APIError("Not now.", status, code="mine", retry_after=2.5 if status == 429 else None)

    seen = []
    answer = chat(chat_server({"m": refuses}, on_error=seen.append), stream=True)
    assert answer.status == status
    assert answer.error == {
        "message": "Not now.",
        "type": answer.error["type"],
        "param": None,
        "code": "mine",
    }
    assert answer.headers.get("retry-after") == ("3" if status == 429 else None)
    assert answer.headers.get("x-should-retry") == ("false" if status >= 500 else None)
    assert seen == []


def test_an_error_dict_is_an_error():
    app = chat_server({"m": lambda messages: {"error": {"message": "no quota", "code": 429}}})
    answer = chat(app)
    assert (answer.status, answer.error["message"]) == (429, "no quota")


@pytest.mark.parametrize("error", [SystemExit(1), StopIteration("x"), asyncio.CancelledError()])
@pytest.mark.parametrize("on_loop", [True, False])
def test_odd_exceptions_are_the_models_too(error, on_loop):
    def sync(messages):
        raise error

    async def on_the_loop(messages):
        raise error

    answer = chat(chat_server({"m": on_the_loop if on_loop else sync}, on_error=lambda error: None))
    assert answer.status == 500


@pytest.mark.parametrize("stream", [True, False])
def test_the_sdk_with_its_retries_runs_a_raising_function_once(sdk, stream):
    runs = []

    def failing(messages):
        runs.append(1)
        raise ValueError("x")

    client = sdk(chat_server({"m": failing}, on_error=lambda error: None))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)
    assert len(runs) == 1


def test_the_sdk_raises_on_a_late_error_frame(sdk):
    client = sdk(chat_server({"m": raises_late}, on_error=lambda error: None))
    with pytest.raises(openai.APIError, match="failed with ValueError"):
        list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))


def test_an_unknown_model_is_404():
    answer = chat(chat_server({"m": raises_early}), model="nope")
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"
    assert answer.error["param"] == "model"


def test_a_model_of_another_kind_is_400():
    app = chat_server({"m": raises_early, "v": model(kind="embedding")(lambda texts: [])})
    assert chat(app, model="v").error["code"] == "wrong_model_kind"
    assert ask(app, "POST", "/v1/embeddings", {"model": "m", "input": "x"}).error["param"] == "model"


def test_too_many_requests_are_429():
    async def run():
        gate = asyncio.Event()

        async def waits(messages):
            await gate.wait()
            return "x"

        app = chat_server({"m": waits}, max_concurrent=1)
        first = asyncio.create_task(visit(app, "POST", "/v1/chat/completions", {"messages": MESSAGES}))
        while app._engine.active == 0:  # noqa: ASYNC110 -- the app tells no one of it
            await asyncio.sleep(0)
        second = await visit(app, "POST", "/v1/chat/completions", {"messages": MESSAGES})
        gate.set()
        return (await first).status, second.status, second.headers["retry-after"]

    assert asyncio.run(run()) == (200, 429, "1")


@pytest.mark.parametrize("models", [{}, [], 7, {"m": "text"}, "text", [lambda: 1, lambda: 2], {"": len}, {7: len}])
def test_what_cannot_be_served_is_refused_at_once(models):
    with pytest.raises((NotServable, InvalidOption)):
        chat_server(models)


@pytest.mark.parametrize("options", [{"kind": "image"}, {"kind": "chat", "embeddings": True}, {"id": ""}])
def test_a_decorator_that_cannot_be_meant(options):
    with pytest.raises(InvalidOption):
        model(**options)
