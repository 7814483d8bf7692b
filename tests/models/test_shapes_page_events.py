"""Events for the page that shows an answer: objects with ``to_event_dict()`` that a function yields."""

import json

import pytest

from portico.models import chat_server
from tests.models.visitor import MESSAGES, ask

STATUS = {"type": "status", "data": {"description": "thinking"}}


class Event:
    def __init__(self, fields=STATUS):
        self.fields = fields

    def to_event_dict(self):
        return self.fields


def with_events(messages):
    yield Event()
    yield "a"
    yield Event({"type": "done", "data": {}})


BODIES = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "x"},
}


@pytest.mark.parametrize("path", BODIES)
def test_streams_hold_them_in_their_place(path):
    chunks = ask(chat_server({"m": with_events}), "POST", path, {"model": "m", "stream": True, **BODIES[path]}).chunks
    assert [chunk for chunk in chunks if "event" in chunk] == [
        {"event": STATUS},
        {"event": {"type": "done", "data": {}}},
    ]
    first, last = (index for index, chunk in enumerate(chunks) if "event" in chunk)
    text = next(index for index, chunk in enumerate(chunks) if '"a"' in json.dumps(chunk))
    assert first < text < last
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("path", BODIES)
def test_whole_answers_leave_them_out(path):
    answer = ask(chat_server({"m": with_events}), "POST", path, {"model": "m", **BODIES[path]}).json
    assert "status" not in json.dumps(answer)


def test_responses_name_them_and_number_them():
    body = {"model": "m", "input": "hi", "stream": True}
    events = ask(chat_server({"m": with_events}), "POST", "/v1/responses", body).chunks
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["data"] for event in events if event["type"] == "status"] == [STATUS["data"]]


def test_an_answer_may_be_an_event_and_what_a_generator_returns():
    def returns(messages):
        yield Event()
        return "the answer"

    def gives(messages):
        return Event()

    def returns_event(messages):
        yield "a"
        return Event()

    body = {"model": "m", "messages": MESSAGES}
    for function, text in ((returns, "the answer"), (gives, ""), (returns_event, "a")):
        server = chat_server({"m": function})
        answer = ask(server, "POST", "/v1/chat/completions", body).json
        assert answer["choices"][0]["message"]["content"] == text
        chunks = ask(server, "POST", "/v1/chat/completions", {**body, "stream": True}).chunks
        assert [chunk["event"] for chunk in chunks if "event" in chunk] == [STATUS]


@pytest.mark.parametrize("fields", [None, "text", {"type": "x", "data": object()}], ids=["None", "text", "object"])
def test_what_is_no_event_fails_as_any_piece(fields):
    answer = ask(
        chat_server({"m": lambda messages: iter([Event(fields)])}),
        "POST",
        "/v1/chat/completions",
        {"model": "m", "messages": MESSAGES, "stream": True},
    )
    assert answer.status == 500
    assert answer.error["code"] == "unusable_output"


def test_classes_with_such_a_method_are_no_events():
    answer = ask(
        chat_server({"m": lambda messages: Event}), "POST", "/v1/chat/completions", {"model": "m", "messages": MESSAGES}
    )
    assert answer.status == 500
