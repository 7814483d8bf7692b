"""The responses API over HTTP: events, stored responses, and what a function is given."""

import asyncio
import json
import re

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter

from portico.models import Finish, Reasoning, ToolCall, Usage, chat_server
from tests.models.visitor import ask, visit
from tests.waiting import until

EVENT = TypeAdapter(ResponseStreamEvent)
URL = "/v1/responses"


def valid(answer):
    events = answer.chunks
    for event in events:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def types(events):
    return [event["type"].removeprefix("response.") for event in events]


async def words(messages):
    for word in ("one ", "two ", "three ", "four ", "five ", "six"):
        yield word


def test_the_events_of_a_text():
    events = valid(ask(chat_server({"m": words}), "POST", URL, {"input": "hi", "stream": True}))
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * 6,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["output"] == []
    assert events[0]["response"]["status"] == "in_progress"
    assert {event["item_id"] for event in events[3:12]} == {events[2]["item"]["id"]}
    final = Response.model_validate(events[-1]["response"])
    assert final.output_text == "one two three four five six"
    assert final.status == "completed"
    assert final.usage.output_tokens > 0


def test_reasoning_text_and_calls_are_items_of_their_own():
    def all_kinds(messages):
        yield Reasoning("let me ")
        yield Reasoning("think")
        yield "I shall look. "
        yield ToolCall("a", {"x": 1})
        yield ToolCall("b", index=1)
        yield ToolCall(arguments='{"y"')
        yield ToolCall(arguments=": 2}")

    app = chat_server({"m": all_kinds})
    events = valid(ask(app, "POST", URL, {"input": "hi", "stream": True}))
    added = [event for event in events if event["type"] == "response.output_item.added"]
    assert [event["item"]["type"] for event in added] == ["reasoning", "message", "function_call", "function_call"]
    assert [event["output_index"] for event in added] == [0, 1, 2, 3]
    assert types(events)[2:8] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ]
    done = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [json.loads(event["arguments"]) for event in done] == [{"x": 1}, {"y": 2}]
    for final in (events[-1]["response"], ask(app, "POST", URL, {"input": "hi"}).json):
        output = Response.model_validate(final).output
        assert output[0].content[0].text == "let me think"
        assert output[1].content[0].text == "I shall look. "
        assert [call.name for call in output[2:]] == ["a", "b"]
        assert all(item.status == "completed" for item in output)


def test_text_after_a_call_is_another_message():
    def back_and_forth(messages):
        yield "before "
        yield ToolCall("a", {})
        yield "after"

    output = ask(chat_server({"m": back_and_forth}), "POST", URL, {"input": "hi"}).json["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]


def test_a_refusal():
    app = chat_server({"m": lambda messages: {"refusal": "I would rather not."}})
    events = valid(ask(app, "POST", URL, {"input": "hi", "stream": True}))
    assert "refusal.delta" in types(events)
    assert "refusal.done" in types(events)
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I would rather not."}]


@pytest.mark.parametrize(("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_incomplete_response(reason, told):
    app = chat_server({"m": lambda messages: iter(["cut", Finish(reason)])})
    events = valid(ask(app, "POST", URL, {"input": "hi", "stream": True}))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": told}
    assert ask(app, "POST", URL, {"input": "hi"}).json["status"] == "incomplete"


def test_usage_of_the_model():
    usage = Usage(5, 7, details={"completion_tokens_details": {"reasoning_tokens": 3}})
    app = chat_server({"m": lambda messages: iter(["x", usage])})
    told = ask(app, "POST", URL, {"input": "hi"}).json["usage"]
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (5, 7, 12)
    assert told["output_tokens_details"]["reasoning_tokens"] == 3


def test_what_the_function_is_given():
    seen = []
    app = chat_server({"m": lambda request: seen.append(request) or "x"})
    body = {
        "model": "m",
        "instructions": "Be kind.",
        "max_output_tokens": 50,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "string"}}},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "input": [
            {"role": "user", "content": "plain"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        ],
        "unknown": [1],
    }
    ask(app, "POST", URL, body)
    (request,) = seen
    assert request["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "plain"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ("c1", "c2")
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    assert request["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert request["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert request["max_tokens"] == 50
    assert request["reasoning_effort"] == "low"
    assert request["response_format"]["json_schema"]["name"] == "a"
    assert request["unknown"] == [1]
    assert request["input"] == body["input"]


def conversation(messages):
    return " | ".join(f"{message['role']}: {message['content']}" for message in messages)


@pytest.mark.parametrize("stream", [True, False])
def test_a_conversation_goes_on_from_a_stored_response(stream):
    app = chat_server({"m": conversation})

    def say(text, previous=None, **more):
        answer = ask(app, "POST", URL, {"input": text, "previous_response_id": previous, "stream": stream, **more})
        return answer.chunks[-1]["response"] if stream else answer.json

    first = say("one", instructions="only once")
    second = say("two", first["id"])
    text = second["output"][0]["content"][0]["text"]
    assert text == "user: one | assistant: system: only once | user: one | user: two"
    assert second["previous_response_id"] == first["id"]


def test_an_unknown_previous_response_is_404():
    app = chat_server({"m": conversation})
    answer = ask(app, "POST", URL, {"input": "x", "previous_response_id": "resp_nope"})
    assert answer.status == 404
    assert answer.error["param"] == "previous_response_id"
    assert answer.error["code"] == "previous_response_not_found"


def test_stored_responses_are_read_listed_and_forgotten():
    app = chat_server({"m": conversation})
    made = ask(app, "POST", URL, {"input": [{"role": "user", "content": text} for text in "abc"]}).json
    id = made["id"]
    assert ask(app, "GET", f"{URL}/{id}").json == made
    items = ask(app, "GET", f"{URL}/{id}/input_items").json
    ResponseItemList.model_validate(items)
    assert [row["content"][0]["text"] for row in items["data"]] == ["c", "b", "a"]
    page = ask(app, "GET", f"{URL}/{id}/input_items?order=asc&limit=2").json
    assert page["has_more"] is True
    rest = ask(app, "GET", f"{URL}/{id}/input_items?order=asc&after={page['last_id']}").json
    assert [row["content"][0]["text"] for row in rest["data"]] == ["c"]
    for query in ("limit=0", "limit=x", "order=up", "after=nope"):
        assert ask(app, "GET", f"{URL}/{id}/input_items?{query}").status == 400
    assert ask(app, "GET", f"{URL}/{id}?stream=false").json == made
    again = ask(app, "GET", f"{URL}/{id}?stream=true")
    assert (again.status, again.error["param"]) == (400, "stream")
    assert ask(app, "POST", f"{URL}/{id}/cancel").json["status"] == "completed"
    assert ask(app, "DELETE", f"{URL}/{id}").json["deleted"] is True
    assert ask(app, "GET", f"{URL}/{id}").status == 404


def test_an_item_may_be_referred_to():
    app = chat_server({"m": conversation})
    made = ask(app, "POST", URL, {"input": "one"}).json
    reference = {"type": "item_reference", "id": made["output"][0]["id"]}
    text = ask(app, "POST", URL, {"input": [reference, {"role": "user", "content": "two"}]}).json
    assert text["output"][0]["content"][0]["text"] == "assistant: user: one | user: two"


def test_what_is_not_to_be_stored_is_not():
    app = chat_server({"m": conversation})
    made = ask(app, "POST", URL, {"input": "x", "store": False}).json
    assert ask(app, "GET", f"{URL}/{made['id']}").status == 404


def test_the_store_is_bounded():
    app = chat_server({"m": conversation}, stored_responses=3)
    ids = [ask(app, "POST", URL, {"input": "x"}).json["id"] for _ in range(5)]
    assert [ask(app, "GET", f"{URL}/{id}").status for id in ids] == [404, 404, 200, 200, 200]
    app = chat_server({"m": conversation}, stored_bytes=4000)
    ids = [ask(app, "POST", URL, {"input": "x" * 1000}).json["id"] for _ in range(3)]
    assert ask(app, "GET", f"{URL}/{ids[0]}").status == 404


def test_ids_carry_the_tag_of_their_store():
    apps = [chat_server({"m": conversation}) for _ in range(20)]
    assert len({app.tag for app in apps}) == len(apps)
    app = apps[0]
    ids = [ask(app, "POST", URL, {"input": "x", **more}).json["id"] for more in ({}, {"store": False})]
    assert re.fullmatch(rf"resp_{app.tag}_[0-9a-f]{{24}}", ids[0])
    assert ids[0].rpartition("_")[0] == ids[1].rpartition("_")[0]
    first = next(event for event in ask(app, "POST", URL, {"input": "x", "stream": True}).chunks)
    assert first["response"]["id"].startswith(f"resp_{app.tag}_")


def test_who_takes_anothers_place_has_its_responses_and_its_tag():
    before, after = (chat_server({"m": conversation}) for _ in range(2))
    tag, id = before.tag, ask(before, "POST", URL, {"input": "x"}).json["id"]
    after.take_over(before)
    assert after.tag == tag
    assert ask(after, "GET", f"{URL}/{id}").status == 200
    assert ask(after, "POST", URL, {"input": "x"}).json["id"].startswith(f"resp_{tag}_")
    after.replace({"m": conversation})
    assert after.tag == tag


def test_one_visitor_does_not_see_anothers():
    app = chat_server({"m": conversation})
    alice, bob = ({"portico": {"id": name}} for name in ("alice", "bob"))
    id = ask(app, "POST", URL, {"input": "secret"}, extensions=alice).json["id"]
    assert ask(app, "GET", f"{URL}/{id}", extensions=alice).status == 200
    for method, path, body in (
        ("GET", f"{URL}/{id}", None),
        ("DELETE", f"{URL}/{id}", None),
        ("POST", f"{URL}/{id}/cancel", None),
        ("POST", URL, {"input": "x", "previous_response_id": id}),
    ):
        assert ask(app, method, path, body, extensions=bob).status == 404


@pytest.mark.parametrize("field", ["conversation", "prompt"])
def test_what_is_not_supported_says_so(field):
    answer = ask(chat_server({"m": conversation}), "POST", URL, {"input": "x", field: {"id": "x"}})
    assert (answer.status, answer.error["param"]) == (501, field)


class Endless:
    def __init__(self):
        self.begun = asyncio.Event()
        self.closed = 0

    async def __call__(self, messages):
        try:
            while True:
                yield "word "
                self.begun.set()
                await asyncio.sleep(0.001)
        finally:
            self.closed += 1


@pytest.mark.parametrize("how", ["stream", "whole", "background"])
def test_a_running_response_is_cancelled(how):
    async def run():
        source = Endless()
        app = chat_server({"m": source})
        body = {"input": "x", "stream": how == "stream", "background": how == "background"}
        task = asyncio.create_task(visit(app, "POST", URL, body))
        await source.begun.wait()
        (id,) = app._responses._running
        cancelled = await visit(app, "POST", f"{URL}/{id}/cancel")
        answer = await asyncio.wait_for(task, 2)
        await until(lambda: source.closed)
        return answer, cancelled.json, (await visit(app, "GET", f"{URL}/{id}")).json if how != "whole" else None

    answer, cancelled, stored = asyncio.run(run())
    assert cancelled["status"] == "cancelled"
    Response.model_validate(cancelled)
    if how == "stream":
        assert answer.chunks[-1]["response"]["status"] == "cancelled"
    elif how == "whole":
        assert answer.error["code"] == "response_cancelled"
    if stored:
        assert stored["status"] == "cancelled"


def test_a_response_in_the_background_is_asked_for_later():
    async def run():
        gate = asyncio.Event()

        async def slow(messages):
            await gate.wait()
            yield "done"

        app = chat_server({"m": slow})
        first = (await visit(app, "POST", URL, {"input": "x", "background": True})).json
        before = (await visit(app, "GET", f"{URL}/{first['id']}")).json
        gate.set()
        while (after := (await visit(app, "GET", f"{URL}/{first['id']}")).json)["status"] == "in_progress":  # noqa: ASYNC110 -- the app tells no one of it
            await asyncio.sleep(0)
        return first, before, after

    first, before, after = asyncio.run(run())
    assert first["status"] == before["status"] == "in_progress"
    assert (after["status"], after["output"][0]["content"][0]["text"]) == ("completed", "done")


def test_a_failure_in_the_background_is_told_later():
    async def run():
        seen = []

        async def fails(messages):
            raise ValueError("x")

        app = chat_server({"m": fails}, on_error=seen.append)
        id = (await visit(app, "POST", URL, {"input": "x", "background": True})).json["id"]
        while (after := (await visit(app, "GET", f"{URL}/{id}")).json)["status"] == "in_progress":  # noqa: ASYNC110 -- the app tells no one of it
            await asyncio.sleep(0)
        return after, seen

    after, seen = asyncio.run(run())
    assert after["status"] == "failed"
    assert after["error"]["code"] == "server_error"
    assert len(seen) == 1


def test_shutting_down_ends_what_runs_in_the_background():
    async def run():
        source = Endless()
        app = chat_server({"m": source})
        await visit(app, "POST", URL, {"input": "x", "background": True})
        await source.begun.wait()
        inbox = [{"type": "lifespan.shutdown"}]

        async def receive():
            return inbox.pop()

        async def send(message):
            pass

        await app({"type": "lifespan"}, receive, send)
        return source.closed

    assert asyncio.run(run()) == 1


def test_a_response_whose_client_left_is_stored_as_cancelled():
    async def run():
        source = Endless()
        app = chat_server({"m": source})
        answer = await visit(app, "POST", URL, {"input": "x", "stream": True}, leave=lambda one: len(one.frames) > 8)
        id = json.loads(answer.frames[0].split(b"data: ")[1])["response"]["id"]
        return (await visit(app, "GET", f"{URL}/{id}")).json

    stored = asyncio.run(run())
    assert stored["status"] == "cancelled"
    assert stored["output"][0]["content"][0]["text"].startswith("word word")


def test_news_of_leaving_with_the_last_frame_changes_nothing():
    async def run():
        app = chat_server({"m": words})
        leaving = asyncio.Event()
        ids = []

        def last(answer):
            ids[:] = [json.loads(answer.frames[0].split(b"data: ")[1])["response"]["id"]] if answer.frames else []
            return answer.ended

        await visit(app, "POST", URL, {"input": "x", "stream": True}, leave=last, leaving=leaving)
        return (await visit(app, "GET", f"{URL}/{ids[0]}")).json["status"]

    assert asyncio.run(run()) == "completed"
