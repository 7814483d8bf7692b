"""Responses of pipelines: what wrappers are given, the events of a stream, and what is stored."""

import asyncio
import json

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from portico.pipelines.chats.chat import PipelineModels
from tests.models.conftest import uvicorn_on_loopback
from tests.pipelines.openai_wrappers import Echo, Event, Wrapper, request, table

URL = "/v1/responses"


def ask(wrapper, *, app=None, path=URL, **fields):
    return request(app or PipelineModels(table(p=wrapper)), path, {"model": "p", "input": "hi", **fields})


def given(answer):
    """What `Echo` was called with."""
    return json.loads(answer.json["output"][0]["content"][0]["text"])


def answering(make):
    return type("PipelineWrapper", (Wrapper,), {"run_response": lambda self, model, input_items, body: make()})()


def test_a_text_is_one_message_of_the_user():
    assert given(ask(Echo()))["items"] == [{"type": "message", "role": "user", "content": "hi"}]


def test_items_are_handed_on_as_they_are():
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "input_file", "file_id": "file-1"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
    ]
    assert given(ask(Echo(), input=items))["items"] == items
    assert given(ask(Echo(), input=None))["items"] == []


def test_the_body_holds_every_field_and_those_of_the_api_that_were_not_sent():
    body = given(ask(Echo(), temperature=0.5, custom={"a": 1}, metadata={"k": "v"}))["body"]
    assert (body["temperature"], body["custom"], body["metadata"], body["stream"]) == (0.5, {"a": 1}, {"k": "v"}, False)
    assert body["instructions"] is None
    assert body["tools"] is None
    assert body["input"] == "hi"


@pytest.mark.parametrize("path", ["/responses", "/v1/responses"])
def test_an_answer_is_a_response_object(path):
    answer = ask(answering(lambda: iter("abc")), path=path)
    response = Response.model_validate(answer.json)
    assert response.output_text == "abc"
    assert response.id.startswith("resp_")
    assert (response.status, response.model) == ("completed", "p")


def test_a_stream_has_the_events_of_the_api_in_order():
    answer = ask(answering(lambda: iter("abc")), stream=True)
    read = TypeAdapter(ResponseStreamEvent).validate_python
    events = [read(event) for event in answer.events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *["output_text.delta"] * 3,
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert events[-1].response.output_text == "abc"
    assert len({events[0].response.id, events[-1].response.id}) == 1


def test_a_text_with_stream_is_one_delta():
    answer = ask(answering(lambda: "all of it"), stream=True)
    deltas = [event["delta"] for event in answer.events if event["type"] == "response.output_text.delta"]
    assert deltas == ["all of it"]


def test_events_of_the_page_have_their_own_names():
    answer = ask(answering(lambda: iter(["a", Event("status", description="working"), "b"])), stream=True)
    (event,) = [event for event in answer.events if event["type"] == "status"]
    assert event["data"] == {"description": "working"}
    assert [one["sequence_number"] for one in answer.events] == list(range(len(answer.events)))
    odd = Event("two\nlines", a=1)
    answer = ask(answering(lambda: iter([odd])), stream=True)
    assert [event["type"] for event in answer.events if "data" in event] == ["event"]
    assert ask(answering(lambda: iter(["a", odd]))).json["output"][0]["content"][0]["text"] == "a"


def test_items_of_the_api_are_items():
    item = {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}
    (output,) = ask(answering(lambda: iter([item]))).json["output"]
    assert (output["type"], output["name"], output["arguments"]) == ("function_call", "f", "{}")


def test_asynchronous_wrappers():
    async def text(self, model, input_items, body):
        return "text"

    async def pieces(self, model, input_items, body):
        yield "te"
        yield "xt"

    for method in (text, pieces):
        wrapper = type("PipelineWrapper", (Wrapper,), {"run_response_async": method})()
        assert ask(wrapper).json["output"][0]["content"][0]["text"] == "text"


def test_headers_for_those_who_ask():
    from starlette.datastructures import Headers

    class Asks(Wrapper):
        def run_response(self, model, input_items, body, *, headers: Headers | None = None):
            return headers["X-A"]

    app = PipelineModels(table(p=Asks()))
    answer = request(app, URL, {"model": "p", "input": "", "headers": {}}, headers=[(b"x-a", b"1")])
    assert answer.json["output"][0]["content"][0]["text"] == "1"


def test_failures():
    def fail():
        raise ValueError("boom")

    answer = ask(answering(fail))
    assert (answer.status, answer.json["detail"]) == (500, "Pipeline execution failed: boom")

    def late():
        yield "a"
        raise ValueError("boom")

    answer = ask(answering(late), stream=True)
    last = answer.events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["message"] == "Pipeline execution failed: boom"
    assert ask(Echo(), model="none").json["detail"] == "Pipeline 'none' not found"
    assert ask(answering(lambda: None)).status == 500


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"text": "x"}, "text"),
        ({"reasoning": []}, "reasoning"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"background": "yes"}, "background"),
    ],
    ids=str,
)
def test_a_body_that_cannot_be_used_is_422_and_names_the_field(fields, where):
    answer = ask(Echo(), **fields)
    assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", where])


def test_a_stored_response_is_gone_on_with():
    app = PipelineModels(table(p=Echo()))
    first = ask(None, app=app, input="one").json
    second = given(ask(None, app=app, input="two", previous_response_id=first["id"]))
    roles = [(item["role"], item["type"]) for item in second["items"]]
    assert roles == [("user", "message"), ("assistant", "message"), ("user", "message")]
    assert second["items"][0]["content"] == [{"type": "input_text", "text": "one"}]
    assert second["body"]["previous_response_id"] == first["id"]
    stored = request(app, f"{URL}/{first['id']}", method="GET").json
    assert stored["output"] == first["output"]
    items = request(app, f"{URL}/{first['id']}/input_items", method="GET").json["data"]
    assert items[0]["content"] == [{"type": "input_text", "text": "one"}]
    assert request(app, f"{URL}/{first['id']}", method="DELETE").json["deleted"] is True


def test_of_an_id_that_is_not_stored_the_wrapper_may_know_more():
    body = given(ask(Echo(), previous_response_id="resp_elsewhere"))["body"]
    assert body["previous_response_id"] == "resp_elsewhere"
    app = PipelineModels(table(p=Echo()))
    unstored = ask(None, app=app, store=False).json
    assert request(app, f"{URL}/{unstored['id']}", method="GET").status == 404


def test_a_response_in_the_background():
    app = PipelineModels(table(p=answering(lambda: "late")))

    async def follow():
        import httpx

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            made = (await client.post(URL, json={"model": "p", "input": "x", "background": True})).json()
            for _ in range(1000):
                found = (await client.get(f"{URL}/{made['id']}")).json()
                if found["status"] == "completed":
                    return found
                await asyncio.sleep(0.005)
        raise AssertionError(found)

    assert asyncio.run(follow())["output"][0]["content"][0]["text"] == "late"


def test_openais_client_streams_and_goes_on():
    import openai

    class Repeats(Wrapper):
        def run_response(self, model, input_items, body):
            for word in [item["role"] for item in input_items if "role" in item]:
                yield f"{word} "

    with (
        uvicorn_on_loopback(PipelineModels(table(p=Repeats()))) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client,
    ):
        first = client.responses.create(model="p", input="one")
        assert first.output_text == "user "
        with client.responses.stream(model="p", input="two", previous_response_id=first.id) as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
            final = stream.get_final_response()
        assert pieces == ["user ", "assistant ", "user "]
        assert final.output_text == "user assistant user "
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.with_options(max_retries=0).responses.create(model="p2", input="x")
