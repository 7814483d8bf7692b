"""Several choices: at the same time where the function is async, each under its own index."""

import asyncio
import itertools
import json
import threading

import pytest

from portico.models import Usage, chat_server
from tests.models.visitor import MESSAGES, ask, chat, scope, visit

URL = "/v1/chat/completions"


def texts(answer):
    """The text of each choice in a stream of chat chunks or of completions."""
    found = {}
    for chunk in answer.chunks:
        for choice in chunk["choices"]:
            piece = choice["delta"].get("content") if "delta" in choice else choice["text"]
            found[choice["index"]] = found.get(choice["index"], "") + (piece or "")
    return found


def everyone_waits_for_everyone(n):
    """A model whose runs each wait, after a word, until all *n* of them have come so far."""
    come = 0
    all_here = asyncio.Event()

    async def model(messages):
        nonlocal come
        come += 1
        own = come
        yield f"{own}: "
        if come == n:
            all_here.set()
        await all_here.wait()
        for word in ("one ", "two ", "three ", "four ", "five ", "six"):
            yield word
            await asyncio.sleep(0)

    return model


def asked_for(make, body, path=URL, **more):
    async def run():
        return await visit(chat_server({"m": make(), **more}), "POST", path, body)

    return asyncio.run(run())


@pytest.mark.parametrize("stream", [True, False])
def test_the_choices_of_an_async_function_are_made_at_the_same_time(stream):
    answer = asked_for(
        lambda: everyone_waits_for_everyone(3), {"messages": MESSAGES, "n": 3, "stream": stream, "model": "m"}
    )
    wanted = {index: f"{index + 1}: one two three four five six" for index in range(3)}
    if stream:
        assert texts(answer) == wanted
        finishes = [
            choice["index"] for chunk in answer.chunks for choice in chunk["choices"] if choice["finish_reason"]
        ]
        assert sorted(finishes) == [0, 1, 2]
    else:
        assert {choice["index"]: choice["message"]["content"] for choice in answer.json["choices"]} == wanted


def test_chunks_of_the_choices_come_in_turns():
    answer = asked_for(lambda: everyone_waits_for_everyone(2), {"messages": MESSAGES, "n": 2, "stream": True})
    order = [chunk["choices"][0]["index"] for chunk in answer.chunks]
    assert order[:2] == [0, 1], "the role chunks"
    assert sum(one != other for one, other in itertools.pairwise(order)) > 6
    assert all(frame.count(b"\n\n") == 1 for frame in answer.frames)


def test_no_send_begins_before_the_one_before_it_has_ended():
    """Servers need not bear it: the head and the role chunks first, then one frame at a time."""

    async def run():
        app = chat_server({"m": everyone_waits_for_everyone(3)})
        body = json.dumps({"messages": MESSAGES, "n": 3, "stream": True}).encode()
        inbox = [{"type": "http.request", "body": body}]
        sending, sent, overlapping = 0, [], 0

        async def receive():
            if inbox:
                return inbox.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message):
            nonlocal sending, overlapping
            overlapping += sending
            sending += 1
            await asyncio.sleep(0)
            sent.append(message)
            sending -= 1

        await app(scope("POST", URL), receive, send)
        return overlapping, sent

    overlapping, sent = asyncio.run(run())
    assert overlapping == 0
    assert sent[0]["type"] == "http.response.start"
    assert all(b'"role":"assistant"' in message["body"] for message in sent[1:4])


def test_choices_that_never_await_take_turns_too():
    async def eager(messages):
        for _ in range(20_000):
            yield "word "

    order = [chunk["choices"][0]["index"] for chunk in chat(chat_server({"m": eager}), n=2, stream=True).chunks]
    first, last = order.index(1, 2), len(order) - 1 - order[::-1].index(0)
    assert first < last, "choice 1 began before choice 0 had ended"
    assert order.count(0) == order.count(1) == 20_002


def test_a_function_that_sees_n_is_run_again_once_it_has_given_something():
    def make():
        come = 0
        second = asyncio.Event()

        async def model(request):
            nonlocal come
            come += 1
            own = come
            if come == 2:
                second.set()
            yield f"{own} "
            await second.wait()
            yield "done"

        return model

    assert texts(asked_for(make, {"messages": MESSAGES, "n": 2, "stream": True})) == {0: "1 done", 1: "2 done"}


def of_choice(index, content):
    return {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": {"content": content}}]}


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_an_async_function_that_gives_all_choices_itself_runs_once_for_each_prompt(path):
    runs = []

    async def all_of_them(request):
        runs.append(request)
        for word in "ab":
            for index in range(request["n"]):
                yield of_choice(index, f"{word}{index} ")
                await asyncio.sleep(0)

    app = chat_server({"m": all_of_them})
    body = {"messages": MESSAGES} if path == "chat/completions" else {"prompt": ["x", "y"]}
    answer = ask(app, "POST", f"/v1/{path}", {**body, "n": 2, "stream": True})
    prompts = 1 if path == "chat/completions" else 2
    assert texts(answer) == {index: f"a{index % 2} b{index % 2} " for index in range(2 * prompts)}
    assert len(runs) == prompts


def test_a_choice_more_than_was_asked_for_goes_to_nobody():
    def too_many(request):
        yield of_choice(0, f"{request['prompt']} ")
        yield of_choice(1, "too many")

    answer = ask(chat_server({"m": too_many}), "POST", "/v1/completions", {"prompt": ["x", "y"]})
    assert [choice["text"] for choice in answer.json["choices"]] == ["x ", "y "]


def test_prompts_are_answered_at_the_same_time():
    answer = asked_for(
        lambda: everyone_waits_for_everyone(4), {"prompt": ["x", "y"], "n": 2, "stream": True}, "/v1/completions"
    )
    assert texts(answer) == {index: f"{index + 1}: one two three four five six" for index in range(4)}


def test_the_runs_of_a_sync_function_come_one_after_the_other():
    at_once = threading.Lock()

    def alone(messages):
        assert at_once.acquire(blocking=False)
        yield "a"
        yield "b"
        at_once.release()

    order = [chunk["choices"][0]["index"] for chunk in chat(chat_server({"m": alone}), n=3, stream=True).chunks]
    assert order == [0, 1, 2, *(0, 0, 0), *(1, 1, 1), *(2, 2, 2)]


def test_usage_is_that_of_all_choices():
    async def counts(messages):
        yield "x"
        yield Usage(3, 4)

    assert chat(chat_server({"m": counts}), n=3).json["usage"]["total_tokens"] == 21


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("late", [False, True])
def test_the_failure_of_one_choice_ends_the_others(late, error):
    async def run():
        closed = []
        seen = []
        come = 0

        async def one_fails(messages):
            nonlocal come
            come += 1
            own = come
            try:
                if late:
                    yield "word"
                if own == 2:
                    raise error
                await asyncio.Event().wait()
            finally:
                closed.append(own)

        app = chat_server({"m": one_fails}, on_error=seen.append)
        answer = await visit(app, "POST", URL, {"messages": MESSAGES, "n": 3, "stream": True})
        return answer, closed, seen

    answer, closed, seen = asyncio.run(run())
    assert sorted(closed) == [1, 2, 3]
    assert len(seen) == 1
    if late:
        assert answer.events[-1] == "[DONE]"
        assert "error" in answer.events[-2]
    else:
        assert answer.status == 500


def test_a_client_that_leaves_closes_them_all():
    async def run():
        closed = []

        async def endless(messages):
            try:
                while True:
                    yield "word "
                    await asyncio.sleep(0)
            finally:
                closed.append(1)

        body = {"messages": MESSAGES, "n": 3, "stream": True}
        app = chat_server({"m": endless})
        await visit(app, "POST", URL, body, leave=lambda answer: len(answer.frames) > 20)
        return closed, [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(run()) == ([1, 1, 1], [])


def test_signs_of_life_come_between_the_choices():
    async def run():
        gate = asyncio.Event()

        async def silent(messages):
            await gate.wait()
            yield "word"

        def seen(answer):
            if len(answer.frames) >= 5:
                gate.set()
            return False

        app = chat_server({"m": silent}, keep_alive=0.02)
        return await visit(app, "POST", URL, {"messages": MESSAGES, "n": 2, "stream": True}, leave=seen)

    answer = asyncio.run(run())
    assert texts(answer) == {0: "word", 1: "word"}
    roles = [json.dumps(chunk["choices"][0]["delta"]) for chunk in answer.chunks[:2]]
    assert roles == ['{"role": "assistant", "content": ""}'] * 2
