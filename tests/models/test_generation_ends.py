"""A model that raises what ends programs, or is cancelled by nobody but itself: 500, and its author is told why."""

import asyncio
import sys

import pytest

from portico.models import chat_server, model
from tests.models.visitor import MESSAGES, ask, visit

KINDS = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
THREADS = [False] if sys.platform == "emscripten" else [True, False]


def made(kind, shape):
    def plain(messages):
        raise kind

    def generator(messages):
        raise kind
        yield

    async def coroutine(messages):
        raise kind

    async def async_generator(messages):
        raise kind
        yield

    async def awaits_what_it_cancelled(messages):
        task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    return locals()[shape]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["plain", "generator", "coroutine", "async_generator", "awaits_what_it_cancelled"])
@pytest.mark.parametrize("n", [1, 2])
def test_it_is_the_models_failure(kind, shape, threads, n):
    seen = []
    app = chat_server({"m": made(kind, shape)}, on_error=seen.append, threads=threads)
    for stream in (False, True):
        body = {"messages": MESSAGES, "stream": stream, "n": n}
        answer = ask(app, "POST", "/v1/chat/completions", body)
        assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert len(seen) == 2
    assert all(error.__traceback__ is not None for error in seen)


async def cancels_itself(messages):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)
    return "not reached"


def test_one_of_several_choices_that_cancels_itself_fails_them():
    seen = []
    app = chat_server({"m": cancels_itself}, on_error=seen.append)
    answer = ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, "n": 2})
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert isinstance(seen[0].__cause__, asyncio.CancelledError)


def test_a_response_in_the_background_that_cancels_itself_has_failed():
    seen = []
    app = chat_server({"m": cancels_itself}, on_error=seen.append)

    async def work():
        made = await visit(app, "POST", "/v1/responses", {"input": "x", "background": True})
        while not seen:  # noqa: ASYNC110 -- it is a plain list
            await asyncio.sleep(0)
        return await visit(app, "GET", f"/v1/responses/{made.json['id']}")

    assert asyncio.run(work()).json["status"] == "failed"
    assert len(seen) == 1


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kind", KINDS)
def test_so_it_is_of_embeddings(kind, threads):
    seen = []

    @model(kind="embedding")
    def embed(texts):
        raise kind

    answer = ask(chat_server(embed, on_error=seen.append, threads=threads), "POST", "/v1/embeddings", {"input": "x"})
    assert answer.status == 500
    assert len(seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_in_the_middle_of_a_stream_it_is_an_error_frame(kind):
    seen = []

    async def late(messages):
        yield "one"
        raise kind

    answer = ask(
        chat_server({"m": late}, on_error=seen.append),
        "POST",
        "/v1/chat/completions",
        {"messages": MESSAGES, "stream": True},
    )
    assert answer.status == 200
    assert any("error" in event for event in answer.events if isinstance(event, dict))
    assert len(seen) == 1
