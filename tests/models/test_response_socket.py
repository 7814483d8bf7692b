"""The responses API over a WebSocket: raw ASGI, and OpenAI's SDK against a real server."""

import asyncio
import json

import pytest
from openai import AsyncOpenAI
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter

from portico.models import chat_server

EVENT = TypeAdapter(ResponsesServerEvent)


class Socket:
    """The visitor's end of a WebSocket to an app."""

    def __init__(self, app, **scope):
        self.inbox = asyncio.Queue()
        self.outbox = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        full = {"type": "websocket", "path": "/v1/responses", "headers": [], **scope}
        self.task = asyncio.create_task(app(full, self.inbox.get, self.outbox.put))

    async def send(self, **event):
        await self.inbox.put({"type": "websocket.receive", "text": json.dumps(event)})

    async def message(self):
        return await asyncio.wait_for(self.outbox.get(), 5)

    async def event(self):
        message = await self.message()
        assert message["type"] == "websocket.send", message
        event = json.loads(message["text"])
        EVENT.validate_python(event)
        return event

    async def until_end(self):
        events = []
        while not events or events[-1]["type"].removeprefix("response.") not in ("completed", "failed", "incomplete"):
            events.append(await self.event())
        return events

    async def close(self):
        await self.inbox.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.task, 5)


def conversation(messages):
    yield from (f"{message['role']}: {message['content']} | " for message in messages)


def connected(use, app=None, **scope):
    async def run():
        socket = Socket(app or chat_server({"m": conversation}), **scope)
        accepted = await socket.message()
        assert accepted["type"] == "websocket.accept"
        result = await use(socket)
        if not socket.task.done():
            await socket.close()
        return result

    return asyncio.run(run())


def test_events_come_as_over_http_without_the_lines():
    async def use(socket):
        await socket.send(type="response.create", model="m", input="hi")
        return await socket.until_end()

    events = connected(use)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "user: hi | "


@pytest.mark.parametrize("store", [True, False])
def test_a_conversation_goes_on(store):
    async def use(socket):
        await socket.send(type="response.create", model="m", input="one", store=store)
        first = (await socket.until_end())[-1]["response"]
        await socket.send(type="response.create", model="m", input="two", previous_response_id=first["id"], store=store)
        return (await socket.until_end())[-1]["response"]["output"][0]["content"][0]["text"]

    assert connected(use) == "user: one | assistant: user: one |  | user: two | "


def test_several_requests_at_once_are_answered_in_order():
    async def use(socket):
        for text in "abc":
            await socket.send(type="response.create", model="m", input=text, stream_id=f"lane {text}")
        return [await socket.until_end() for _ in range(3)]

    for text, events in zip("abc", connected(use), strict=True):
        assert {event["stream_id"] for event in events} == {f"lane {text}"}
        assert events[-1]["response"]["output"][0]["content"][0]["text"] == f"user: {text} | "


def test_input_may_only_be_remembered():
    async def use(socket):
        await socket.send(type="response.create", model="m", input="one", generate=False)
        first = (await socket.until_end())[-1]["response"]
        await socket.send(type="response.create", model="m", input="two", previous_response_id=first["id"])
        return first, (await socket.until_end())[-1]["response"]["output"][0]["content"][0]["text"]

    first, text = connected(use)
    assert first["output"] == []
    assert text == "user: one | user: two | "


@pytest.mark.parametrize(
    ("event", "status", "param"),
    [
        ({"type": "response.create", "model": "m"}, 400, "input"),
        ({"type": "response.create", "model": "nope", "input": "x"}, 404, "model"),
        (
            {"type": "response.create", "model": "m", "input": "x", "previous_response_id": "y"},
            404,
            "previous_response_id",
        ),
        ({"type": "response.steer"}, 400, "type"),
        ({}, 400, "type"),
    ],
)
def test_errors_leave_the_connection_open(event, status, param):
    async def use(socket):
        await socket.send(**event)
        error = await socket.event()
        await socket.send(type="response.create", model="m", input="hi")
        return error, (await socket.until_end())[-1]["type"]

    error, after = connected(use)
    assert error["type"] == "error"
    assert error["status"] == status
    assert error["error"]["param"] == param
    assert after == "response.completed"


def test_what_is_no_json_is_an_error():
    async def use(socket):
        await socket.inbox.put({"type": "websocket.receive", "text": "{"})
        return (await socket.event())["status"]

    assert connected(use) == 400


def test_a_raising_model():
    async def early(messages):
        raise ValueError("/secret")

    def late(messages):
        yield "x"
        raise ValueError("/secret")

    async def use(socket):
        await socket.send(type="response.create", model="early", input="x")
        first = await socket.event()
        await socket.send(type="response.create", model="late", input="x")
        return first, await socket.until_end()

    seen = []
    first, events = connected(use, chat_server({"early": early, "late": late}, on_error=seen.append))
    assert first["error"]["code"] == "model_error"
    assert events[-1]["type"] == "response.failed"
    assert "/secret" not in json.dumps([first, events])
    assert len(seen) == 2


def test_a_message_that_is_too_large_ends_the_connection():
    async def use(socket):
        await socket.send(type="response.create", model="m", input="x" * 1000)
        return await socket.message()

    assert connected(use, chat_server({"m": conversation}, max_body=100))["code"] == 1009


def test_a_client_that_does_not_wait_is_cut_off():
    async def use(socket):
        for _ in range(40):
            await socket.send(type="response.create", model="m", input="x")
        while (message := await socket.message())["type"] != "websocket.close":
            pass
        return message["code"]

    async def slow(messages):
        await asyncio.sleep(3600)

    assert connected(use, chat_server({"m": slow})) == 1008


def test_leaving_closes_the_generator():
    closed = []

    async def endless(messages):
        try:
            while True:
                yield "word "
                await asyncio.sleep(0.001)
        finally:
            closed.append(1)

    async def use(socket):
        await socket.send(type="response.create", model="m", input="x")
        for _ in range(8):
            await socket.event()
        await socket.close()

    connected(use, chat_server({"m": endless}))
    assert closed == [1]


def test_a_page_of_an_origin_that_is_not_allowed():
    async def run():
        app = chat_server({"m": conversation}, allow_origins=["https://good.example"])
        return await Socket(app, headers=[(b"origin", b"https://bad.example")]).message()

    assert asyncio.run(run())["type"] == "websocket.close"


def test_the_sdk(serve):
    url = serve(chat_server({"m": conversation}))

    async def run():
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client, client.responses.connect() as connection:
            await connection.response.create(model="m", input="hi")
            deltas = []
            async for event in connection:
                if event.type == "response.output_text.delta":
                    deltas.append(event.delta)
                elif event.type == "response.completed":
                    return "".join(deltas), event.response.output_text
        raise AssertionError

    assert asyncio.run(run()) == ("user: hi | ", "user: hi | ")
