"""Chat completions of pipelines: what wrappers are given, what becomes of what they give, and how failures are told."""

import asyncio
import json
import threading

import pytest
from fastapi import HTTPException

from portico.pipelines.chats.chat import PipelineModels, models_of
from tests.models.visitor import MESSAGES, visit
from tests.pipelines.openai_wrappers import Echo, Event, Wrapper, deployed, request, table


def ask(wrapper, path="/v1/chat/completions", *, models=None, headers=(), **fields):
    app = PipelineModels(models or table(p=wrapper))
    return request(app, path, {"model": "p", "messages": MESSAGES, **fields}, headers=headers)


def chatting(chat, name="run_chat_completion"):
    """A wrapper whose method is *chat*, a function of the messages."""
    return type("PipelineWrapper", (Wrapper,), {name: lambda self, model, messages, body: chat(messages)})()


def texts(answer):
    """The pieces of text of a stream, its reasons, and its ids."""
    chunks = [event for event in answer.events if event != "[DONE]" and "choices" in event]
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    reasons = [reason for chunk in chunks if (reason := chunk["choices"][0]["finish_reason"])]
    return [text for text in deltas if text], reasons, {chunk["id"] for chunk in chunks}


def test_the_body_holds_every_field_and_whether_it_streams():
    sent = {"temperature": 9, "stop": ["["], "n": 2, "chat_id": "c", "metadata": {"a": 1}, "max_tokens": 0}
    answer = ask(Echo(), **sent)
    given = json.loads(answer.json["choices"][0]["message"]["content"])
    assert given["model"] == "p"
    assert given["messages"] == MESSAGES
    assert given["body"] == {"model": "p", "messages": MESSAGES, "stream": False, **sent}
    assert len(answer.json["choices"]) == 1


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/p/chat", "/p/chat/completions"])
def test_all_urls_lead_to_the_pipeline(path):
    answer = ask(Echo(), path)
    assert json.loads(answer.json["choices"][0]["message"]["content"])["model"] == "p"
    assert answer.json["object"] == "chat.completion"


def test_the_url_of_a_pipeline_needs_no_model_and_goes_before_one():
    both = table(p=Echo(), q=Echo())
    app = PipelineModels(both)
    answer = request(app, "/q/chat", {"messages": MESSAGES})
    assert answer.json["model"] == "q"
    answer = ask(None, "/q/chat/completions", models=both)
    given = json.loads(answer.json["choices"][0]["message"]["content"])
    assert (given["model"], given["body"]["model"]) == ("q", "p")
    assert (request(app, "/none/chat", {"messages": MESSAGES})).json["detail"] == "Pipeline 'none' not found"
    assert (request(app, "/q/chat", method="GET")).status == 405


def test_messages_are_handed_on_as_they_are_and_may_be_changed():
    odd = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVB..."}}]}]

    def change(self, model, messages, body):
        messages[0]["role"] = "another"
        messages.clear()
        return json.dumps(body["messages"])

    wrapper = type("PipelineWrapper", (Wrapper,), {"run_chat_completion": change})()
    answer = ask(wrapper, messages=odd)
    assert json.loads(answer.json["choices"][0]["message"]["content"]) == odd
    assert (ask(Echo(), messages=[])).status == 200
    assert (ask(Echo(), messages=[{"anything": 1}])).status == 200


def test_a_generator_without_stream_is_joined():
    answer = ask(chatting(lambda _: iter(["a", "", "b"])))
    assert answer.json["choices"][0]["message"]["content"] == "ab"
    assert answer.json["choices"][0]["finish_reason"] == "stop"


def test_a_text_with_stream_is_one_chunk():
    answer = ask(chatting(lambda _: "all of it"), stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert texts(answer) == (["all of it"], ["stop"], {answer.events[0]["id"]})
    assert answer.events[-1] == "[DONE]"


def test_a_stream_has_one_id_and_ends_with_an_empty_delta():
    answer = ask(chatting(lambda _: (piece for piece in "abc")), stream=True)
    pieces, reasons, ids = texts(answer)
    assert (pieces, reasons, len(ids)) == (["a", "b", "c"], ["stop"], 1)
    assert answer.events[-2]["choices"][0]["delta"] == {}


def test_the_first_delta_tells_the_role_whatever_it_is():
    def deltas(*pieces):
        events = ask(chatting(lambda _: iter(pieces)), stream=True).events
        return [event["choices"][0]["delta"] for event in events[:-1] if "choices" in event]

    told = {"role": "assistant"}
    assert deltas("a", "b", "c", "d") == [{**told, "content": "a"}, *[{"content": text} for text in "bcd"], {}]
    assert deltas({"reasoning_content": "r"}, "a")[0]["role"] == "assistant"
    assert "role" not in deltas({"reasoning_content": "r"}, "a")[1]
    assert deltas(Event("status"), "a")[0] == {**told, "content": "a"}
    assert deltas() == [{}]


def test_asynchronous_wrappers_of_every_kind_are_preferred():
    async def generator():
        yield "a"
        yield "b"

    async def gives_generator(self, model, messages, body):
        return generator()

    async def is_generator(self, model, messages, body):
        yield "a"
        yield "b"

    async def text(self, model, messages, body):
        return "ab"

    def synchronous(self, model, messages, body):
        raise AssertionError("the other one is preferred")

    for method in (gives_generator, is_generator, text):
        own = {"run_chat_completion_async": method, "run_chat_completion": synchronous}
        wrapper = type("PipelineWrapper", (Wrapper,), own)()
        assert (ask(wrapper)).json["choices"][0]["message"]["content"] == "ab"
        assert "".join(texts(ask(wrapper, stream=True))[0]) == "ab"


def test_synchronous_wrappers_run_off_the_event_loop():
    loop = threading.get_ident()
    answer = ask(chatting(lambda _: str(threading.get_ident() != loop)))
    assert answer.json["choices"][0]["message"]["content"] == "True"


def test_events_of_the_page_go_out_in_their_place():
    def chat(messages):
        yield Event("status", description="working", done=False)
        yield "a"
        yield Event("source", document=["d"], metadata=[{"source": "s"}])
        yield "b"

    answer = ask(chatting(chat), stream=True)
    kinds = [
        event["event"]["type"] if "event" in event else event["choices"][0]["delta"].get("content")
        for event in answer.events[:-1]
    ]
    assert kinds == ["status", "a", "source", "b", None]
    assert answer.events[0] == {"event": {"type": "status", "data": {"description": "working", "done": False}}}
    whole = ask(chatting(chat))
    assert whole.json["choices"][0]["message"]["content"] == "ab"


def test_an_event_that_is_no_json_fails_as_any_piece():
    answer = ask(chatting(lambda _: iter([Event("status", at=object())])), stream=True)
    assert answer.status == 500
    assert "'data'" in answer.json["detail"]


def test_headers_are_given_to_those_who_ask_for_them_and_cannot_be_forged():
    from starlette.datastructures import Headers

    class Asks(Wrapper):
        def run_chat_completion(self, model, messages, body, headers: Headers | None = None):
            return f"{type(headers).__name__} {headers.getlist('X-A')}"

    class AsksInText(Wrapper):
        def run_chat_completion(self, model, messages, body, headers: "Headers | None" = None):
            return headers["x-a"]

    class NamesNothing(Wrapper):
        def run_chat_completion(self, model, messages, body, headers: "Nowhere | None" = None):  # noqa: F821
            return str(headers)

    class HasADict(Wrapper):
        def run_chat_completion(self, model, messages, body, headers: dict | None = None, temperature=0.5, **rest):
            return str((headers, temperature, rest))

    sent = {"headers": [(b"x-a", b"1"), (b"x-a", b"2")], "temperature": 1}
    answer = ask(Asks(), **sent)
    assert answer.json["choices"][0]["message"]["content"] == "Headers ['1', '2']"
    answer = ask(HasADict(), **sent)
    assert answer.json["choices"][0]["message"]["content"] == "(None, 0.5, {})"
    answer = ask(AsksInText(), **sent)
    assert answer.json["choices"][0]["message"]["content"] == "1"
    answer = ask(NamesNothing(), **sent)
    assert answer.json["choices"][0]["message"]["content"] == "None"
    forged = {"model": "p", "messages": MESSAGES, "headers": {"x-a": "forged"}}
    answer = request(PipelineModels(table(p=Asks())), "/v1/chat/completions", forged)
    assert "forged" not in answer.json["choices"][0]["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_any_error_is_told_to_both_kinds_of_clients(stream):
    reported = []

    def fail(messages):
        raise ValueError("boom")

    app = PipelineModels(table(p=chatting(fail)), reported.append)
    answer = request(app, "/chat/completions", {"model": "p", "messages": MESSAGES, "stream": stream})
    assert answer.status == 500
    assert answer.json["detail"] == answer.error["message"] == "Pipeline execution failed: boom"
    assert answer.headers["x-should-retry"] == "false"
    assert [str(error) for error in reported] == ["boom"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_http_exception_passes_with_all_it_has(stream):
    def refuse(messages):
        raise HTTPException(418, {"why": "tea"}, headers={"X-Tea": "1"})

    reported = []
    app = PipelineModels(table(p=chatting(refuse)), reported.append)
    answer = request(app, "/chat/completions", {"model": "p", "messages": MESSAGES, "stream": stream})
    assert (answer.status, answer.json["detail"], answer.headers["x-tea"]) == (418, {"why": "tea"}, "1")
    assert answer.error["type"] == "invalid_request_error"
    assert reported == []


def test_an_http_exception_of_a_status_without_a_body():
    def nothing(messages):
        raise HTTPException(204)

    answer = ask(chatting(nothing))
    assert (answer.status, answer.body) == (204, b"")


def test_a_failure_in_mid_stream_is_an_event():
    def fail(messages):
        yield "a"
        raise ValueError("boom")

    answer = ask(chatting(fail), stream=True)
    assert answer.status == 200
    assert answer.events[-2]["error"]["message"] == "Pipeline execution failed: boom"


@pytest.mark.parametrize("given", [None, 5, {"a": 1}, b"bytes"], ids=["None", "int", "dict", "bytes"])
def test_a_result_of_the_wrong_type_says_what_to_give(given):
    answer = ask(chatting(lambda _: given))
    assert answer.status == 500
    assert answer.json["detail"].startswith("Pipeline execution failed: ")
    assert "text" in answer.json["detail"]


def test_pieces_that_are_no_text_are_json():
    pieces = [1, " ", 2.5, " ", {"a": 1}, " ", ["b"], " ", True, None]
    answer = ask(chatting(lambda _: iter(pieces)))
    assert answer.json["choices"][0]["message"]["content"] == '1 2.5 {"a": 1} ["b"] true'
    assert "".join(texts(ask(chatting(lambda _: iter(pieces)), stream=True))[0]) == '1 2.5 {"a": 1} ["b"] true'


def test_system_exit_is_the_pipelines_failure():
    def leave(messages):
        raise SystemExit(3)

    assert (ask(chatting(leave))).status == 500


def test_pipelines_without_chat_and_those_that_are_not_there():
    class Runs(Wrapper):
        def run_api(self, a: int) -> int:
            return a

    answer = ask(Runs())
    assert (answer.status, answer.json["detail"]) == (501, "Chat endpoint not implemented for this model")
    answer = ask(Runs(), "/responses", input="x")
    assert (answer.status, answer.json["detail"]) == (501, "Responses endpoint not implemented for this model")
    answer = ask(Echo(), model="none")
    assert (answer.status, answer.json["detail"]) == (404, "Pipeline 'none' not found")
    assert answer.error["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": "text"}, "messages"),
        ({"messages": ["text"]}, "messages[0]"),
        ({"stream": "perhaps"}, "stream"),
        ({"stream_options": 5}, "stream_options"),
        ({"tools": {}}, "tools"),
        ({"tools": [5]}, "tools[0]"),
    ],
    ids=str,
)
def test_a_body_that_cannot_be_used_is_422_and_names_the_field(fields, where):
    answer = ask(Echo(), **fields)
    assert answer.status == 422
    assert answer.json["detail"][0]["loc"] == ["body", where]
    assert answer.json["detail"][0]["msg"] == answer.error["message"]
    assert answer.error["param"] == where


def test_a_body_that_is_no_json_is_422():
    app = PipelineModels(table(p=Echo()))
    for raw in (b"{", b"[]", b""):
        assert (request(app, "/chat/completions", raw)).status == 422
    assert (request(app, "/chat/completions", {"model": "p"})).json["detail"][0]["loc"] == ["body", "messages"]


@pytest.mark.parametrize("stream", ["yes", 1, "true"])
def test_stream_is_read_as_pydantic_reads_booleans(stream):
    answer = ask(Echo(), stream=stream)
    assert json.loads(texts(answer)[0][0])["body"]["stream"] is True
    assert (ask(Echo(), stream=None)).json["object"] == "chat.completion"


def test_models_follow_the_deployments():
    deployments = table()
    app = PipelineModels(deployments)
    assert (request(app, "/models", method="GET")).json == {"object": "list", "data": []}
    deployments.add(deployed("p", Echo()))
    (listed,) = (request(app, "/v1/models", method="GET")).json["data"]
    assert (listed["id"], listed["name"], listed["object"], listed["owned_by"]) == ("p", "p", "model", "portico")
    deployments.add(deployed("p", chatting(lambda _: "new")), replace=True)
    assert (ask(None, models=deployments)).json["choices"][0]["message"]["content"] == "new"
    deployments.remove("p")
    assert (request(app, "/v1/models", method="GET")).json["data"] == []
    assert (request(app, "/v1/models/p", method="GET")).status == 404


def test_all_pipelines_are_listed_by_a_server_and_models_alone_by_a_service():
    deployments = table(chats=Echo(), runs=Wrapper())
    listed = (request(PipelineModels(deployments), "/models", method="GET")).json["data"]
    assert [one["id"] for one in listed] == ["chats", "runs"]
    assert models_of(deployments).model_ids == ["chats"]


def test_a_service_of_one_pipeline_needs_no_model():
    server = models_of(table(only=Echo(), runs=Wrapper()))
    answer = request(server, "/v1/chat/completions", {"messages": MESSAGES})
    assert answer.json["model"] == "only"
    assert server.kinds == {"only": "chat"}
    assert server.tag


def test_which_requests_are_for_it():
    app = PipelineModels(table(p=Echo()))
    for route in ("models", "v1/models/p", "chat/completions", "v1/responses", "p/chat", "p/chat/completions"):
        assert app.handles("POST", route), route
    for route in ("", "status", "p/run", "files", "v1/files", "v1/files/file-1", "p", "chat", "q/chat", "v1/chat/x"):
        assert app.handles("POST", route) == route.startswith("v1/chat"), route


def test_completions_of_prompts_work_too():
    answer = ask(chatting(lambda messages: messages[-1]["content"]), "/v1/completions", prompt="say")
    assert answer.json["choices"][0]["text"] == "say"


def test_a_visitor_who_leaves_closes_the_generator():
    closed = threading.Event()

    def chat(messages):
        try:
            while True:
                yield "a"
        finally:
            closed.set()

    app = PipelineModels(table(p=chatting(chat)))
    body = {"model": "p", "messages": MESSAGES, "stream": True}
    asyncio.run(visit(app, "POST", "/chat/completions", body, leave=lambda answer: len(answer.frames) > 3))
    assert closed.wait(1)


def test_an_exception_whose_text_ends_the_program_is_told_by_its_name():
    class Unsayable(Exception):
        def __str__(self):
            raise SystemExit(9)

    def chat(messages):
        raise Unsayable

    answer = ask(chatting(chat))
    assert answer.status == 500
    assert "Unsayable" in answer.json["detail"]
