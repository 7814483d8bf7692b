"""Responses made in the background, whose events are asked for later, from the start or from where a client was cut."""

import asyncio
import json

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from portico.models import chat_server
from tests.models.visitor import ask, visit

EVENT = TypeAdapter(ResponseStreamEvent)
URL = "/v1/responses"


def checked(answer):
    events = answer.chunks
    for event in events:
        EVENT.validate_python(event)
    return events


def numbers(events):
    return [event["sequence_number"] for event in events]


class InSteps:
    """A model that gives the next word whenever `more` is called."""

    def __init__(self):
        self.steps = asyncio.Semaphore(0)
        self.closed = asyncio.Event()

    def more(self, steps=1):
        for _ in range(steps):
            self.steps.release()

    async def __call__(self, messages):
        try:
            for word in ("one ", "two ", "three ", "four"):
                await self.steps.acquire()
                yield word
        finally:
            self.closed.set()


async def begun(app, **more):
    return (await visit(app, "POST", URL, {"input": "x", "background": True, **more})).json["id"]


def test_the_events_are_those_of_a_stream_and_come_as_they_are_made():
    async def run():
        source = InSteps()
        app = chat_server({"m": source})
        id = await begun(app)
        first = asyncio.Event()

        def seen(answer):
            if b"one " in answer.body:
                first.set()
            return False

        live = asyncio.create_task(visit(app, "GET", f"{URL}/{id}?stream=true", leave=seen))
        source.more()
        await first.wait()
        source.more(3)
        return checked(await live), checked(await visit(app, "GET", f"{URL}/{id}?stream=true"))

    live, again = asyncio.run(run())
    assert live == again
    assert numbers(live) == list(range(len(live)))
    assert [event["type"] for event in live[:2]] == ["response.created", "response.in_progress"]
    assert "".join(event.get("delta", "") for event in live) == "one two three four"
    assert live[-1]["type"] == "response.completed"
    assert live[-1]["response"]["output"][0]["content"][0]["text"] == "one two three four"


def test_a_client_that_was_cut_goes_on_where_it_was():
    async def run():
        source = InSteps()
        app = chat_server({"m": source})
        source.more(2)
        body = {"input": "x", "background": True, "stream": True}
        cut = await visit(app, "POST", URL, body, leave=lambda answer: b"two " in answer.body)
        before = [json.loads(frame.partition(b"data: ")[2]) for frame in cut.frames]
        assert not source.closed.is_set(), "it is made all the same"
        source.more(2)
        id, last = before[0]["response"]["id"], before[-1]["sequence_number"]
        return before, checked(await visit(app, "GET", f"{URL}/{id}?stream=true&starting_after={last}"))

    before, after = asyncio.run(run())
    assert numbers(before + after) == list(range(len(before + after)))
    assert "".join(event.get("delta", "") for event in before + after) == "one two three four"
    assert after[-1]["type"] == "response.completed"


def test_after_the_last_event_there_is_nothing():
    async def run():
        source = InSteps()
        app = chat_server({"m": source})
        id = await begun(app)
        source.more(4)
        whole = checked(await visit(app, "GET", f"{URL}/{id}?stream=true"))
        return [
            checked(await visit(app, "GET", f"{URL}/{id}?stream=true&starting_after={after}"))
            for after in (len(whole) - 2, len(whole) - 1, len(whole) + 10**6)
        ]

    one, none, far = asyncio.run(run())
    assert [event["type"] for event in one] == ["response.completed"]
    assert none == far == []


def test_a_sign_of_life_has_the_number_of_the_event_before():
    async def run():
        source = InSteps()
        app = chat_server({"m": source}, keep_alive=0.02)

        def seen(answer):
            if len(answer.frames) == 5:
                source.more(4)
            return False

        return checked(await visit(app, "POST", URL, {"input": "x", "background": True, "stream": True}, leave=seen))

    events = asyncio.run(run())
    assert numbers(events[:5]) == [0, 1, 1, 1, 1]
    assert numbers(events[5:]) == list(range(2, len(events) - 3))


@pytest.mark.parametrize("how", ["cancel", "raise", "shut down"])
def test_the_end_is_told_however_it_comes(how):
    async def run():
        app = None

        async def fails(messages):
            yield "word"
            if how == "raise":
                raise ValueError("secret")
            if how == "shut down":
                asyncio.get_running_loop().call_soon(stop.set)
            await asyncio.Event().wait()

        async def stopped():
            await stop.wait()
            inbox = [{"type": "lifespan.shutdown"}]

            async def receive():
                return inbox.pop()

            async def send(message):
                pass

            await app({"type": "lifespan"}, receive, send)

        stop = asyncio.Event()
        stopping = asyncio.create_task(stopped())
        app = chat_server({"m": fails}, on_error=lambda error: None)
        id = await begun(app)
        playing = asyncio.create_task(visit(app, "GET", f"{URL}/{id}?stream=true"))
        if how == "cancel":
            await visit(app, "POST", f"{URL}/{id}/cancel")
        events = checked(await asyncio.wait_for(playing, 5))
        stopping.cancel()
        return events, (await visit(app, "GET", f"{URL}/{id}")).json

    events, stored = asyncio.run(run())
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == stored["status"] == ("failed" if how == "raise" else "cancelled")
    assert "secret" not in json.dumps(events)


def test_cancelling_before_it_has_begun_keeps_it_from_beginning():
    async def run():
        called = []
        app = chat_server({"m": lambda messages: called.append(1) or "x"})
        id = await begun(app)
        await visit(app, "POST", f"{URL}/{id}/cancel")
        events = checked(await visit(app, "GET", f"{URL}/{id}?stream=true"))
        return called, events[-1]["response"]["status"]

    assert asyncio.run(run()) == ([], "cancelled")


def test_a_client_that_leaves_a_replay():
    async def run():
        source = InSteps()
        app = chat_server({"m": source})
        id = await begun(app)
        await visit(app, "GET", f"{URL}/{id}?stream=true", leave=lambda answer: len(answer.frames) == 2)
        source.more(4)
        return checked(await visit(app, "GET", f"{URL}/{id}?stream=true"))[-1]["type"]

    assert asyncio.run(run()) == "response.completed"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=perhaps", "stream"),
        ("stream=true&starting_after=x", "starting_after"),
        ("stream=true&starting_after=-1", "starting_after"),
        ("starting_after=1.5", "starting_after"),
    ],
)
def test_what_cannot_be_meant(query, param):
    app = chat_server({"m": lambda messages: "x"})
    id = ask(app, "POST", URL, {"input": "x"}).json["id"]
    answer = ask(app, "GET", f"{URL}/{id}?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)


def test_a_tape_is_bounded_and_counts_as_stored():
    async def run():
        async def endless(messages):
            while True:
                yield "word "

        seen = []
        app = chat_server({"m": endless}, stored_bytes=20_000, on_error=seen.append)
        answer = await visit(app, "POST", URL, {"input": "x", "background": True, "stream": True})
        return answer, seen

    answer, (error,) = asyncio.run(run())
    assert "more than the 20000 bytes" in str(error)
    assert answer.events[-2]["type"] == "response.failed"
    assert 20_000 < len(answer.body) < 60_000


def test_what_runs_in_the_background_is_limited():
    async def run():
        source = InSteps()
        app = chat_server({"m": source}, max_concurrent=1)
        await begun(app)
        second = await visit(app, "POST", URL, {"input": "x", "background": True})
        source.more(4)
        await source.closed.wait()
        return second

    second = asyncio.run(run())
    assert second.status == 429
    assert second.headers["retry-after"] == "1"


def test_the_sdk_reads_the_events_of_a_stored_response(sdk):
    async def words(messages):
        for word in ("one ", "two"):
            yield word

    client = sdk(chat_server({"m": words}))
    id = client.responses.create(model="m", input="x", background=True).id
    events = list(client.responses.retrieve(id, stream=True))
    assert events[-1].response.output_text == "one two"
    rest = list(client.responses.retrieve(id, stream=True, starting_after=events[-3].sequence_number))
    assert rest == events[-2:]
