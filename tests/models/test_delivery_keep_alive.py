"""Signs of life while the model is silent."""

import asyncio
import json

import pytest

from portico.models import chat_server
from tests.models.visitor import MESSAGES, scope, visit
from tests.waiting import until

BODIES = {
    "chat/completions": {"messages": MESSAGES},
    "completions": {"prompt": "x"},
    "responses": {"input": "x"},
}


def silence_then(finish, *, thread=False):
    """A model that is silent until the visitor has seen some frames, then does what *finish* says; and its visit."""

    async def run(path, interval=0.02, frames=5):
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()

        async def on_loop(messages):
            await gate.wait()
            if finish == "raise":
                raise ValueError("late")
            yield "word"

        def on_thread(messages):
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
            if finish == "raise":
                raise ValueError("late")
            yield "word"

        app = chat_server({"m": on_thread if thread else on_loop}, keep_alive=interval, on_error=lambda error: None)

        def seen(answer):
            if len(answer.frames) >= frames:
                gate.set()
            return False

        return await visit(app, "POST", f"/v1/{path}", {**BODIES[path], "stream": True}, leave=seen)

    return run


@pytest.mark.parametrize("thread", [True, False])
def test_chat_gets_the_head_the_role_and_empty_deltas(thread):
    answer = asyncio.run(silence_then("give", thread=thread)("chat/completions"))
    deltas = [chunk["choices"][0]["delta"] for chunk in answer.chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert deltas[1:4] == [{}] * 3
    assert deltas[-2:] == [{"content": "word"}, {}]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in answer.chunks]
    assert reasons == [None] * (len(deltas) - 1) + ["stop"]
    assert answer.text == "word"


@pytest.mark.parametrize("path", list(BODIES))
def test_a_later_exception_is_an_error_frame(path):
    answer = asyncio.run(silence_then("raise")(path))
    assert answer.status == 200
    events = answer.events
    assert events[-1] == "[DONE]"
    if path == "responses":
        assert events[-2]["type"] == "response.failed"
    else:
        assert events[-2]["error"]["code"] == "model_error"


def test_completions_get_empty_texts():
    answer = asyncio.run(silence_then("give")("completions"))
    assert [chunk["choices"][0]["text"] for chunk in answer.chunks][:3] == [""] * 3


def test_responses_are_in_progress():
    events = asyncio.run(silence_then("give")("responses")).chunks
    assert [event["type"] for event in events[:4]] == ["response.created"] + ["response.in_progress"] * 3
    assert sorted(event["sequence_number"] for event in events) == list(range(len(events)))


def test_silence_between_tokens():
    async def run():
        gate = asyncio.Event()

        async def pauses(messages):
            yield "one "
            await gate.wait()
            yield "two"

        def seen(answer):
            if len(answer.frames) >= 5:
                gate.set()
            return False

        app = chat_server({"m": pauses}, keep_alive=0.02)
        return await visit(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, "stream": True}, leave=seen)

    answer = asyncio.run(run())
    deltas = [chunk["choices"][0]["delta"] for chunk in answer.chunks]
    assert deltas[1:3] == [{"content": "one "}, {}]
    assert answer.text == "one two"


def test_no_sign_of_life_to_a_client_that_does_not_read():
    """While one that reads gets one after the other."""

    async def run():
        sent, blocked, left = [], asyncio.Event(), asyncio.Event()
        body = json.dumps({"messages": MESSAGES, "stream": True}).encode()

        async def receive():
            if not sent and not blocked.is_set():
                blocked.set()
                return {"type": "http.request", "body": body}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message):
            sent.append(message)
            if len(sent) == 3:
                await asyncio.Event().wait()

        async def silent(messages):
            yield "one"
            await left.wait()

        app = chat_server({"m": silent}, keep_alive=0.01)
        deaf = asyncio.create_task(app(scope("POST", "/v1/chat/completions"), receive, send))
        await until(lambda: len(sent) == 3)
        signs = await visit(app, "POST", "/v1/chat/completions", body, leave=lambda answer: len(answer.frames) == 10)
        deaf.cancel()
        left.set()
        await asyncio.wait([deaf])
        return len(sent), len(signs.frames)

    assert asyncio.run(run()) == (3, 10)


def test_a_quick_answer_needs_none():
    async def run():
        app = chat_server({"m": lambda messages: "word"})
        answer = await visit(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, "stream": True})
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, what="the end of its tasks")
        return answer

    assert len(asyncio.run(run()).frames) == 4


def test_a_thread_does_not_keep_the_loop_from_turning():
    def busy(messages):
        for _ in range(3000):
            yield "word "

    async def run():
        turns = 0
        app = chat_server({"m": busy})
        task = asyncio.create_task(visit(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, "stream": True}))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert len(task.result().frames) == 3003
        return turns

    assert asyncio.run(run()) > 5
