"""One pipeline as an app: which part answers at which path, what it tells of itself, and how it is replaced."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import HTTPException
from haystack import Pipeline
from haystack.components.builders import PromptBuilder

from portico.functions.signature import typed_function
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.service_app import PipelineApp
from portico.pipelines.streams.sse_stream import SSEStream
from portico.tools.tool import ToolCaller
from tests.functions.visiting import form
from tests.models.visitor import MESSAGES, Answer, visit

JSON = {"content-type": "application/json"}
HTML = {"accept": "text/html,*/*"}


class Wrapper:
    def __init__(self, says: str = "meow") -> None:
        self.says = says

    def run_api(self, question: str, top_k: int = 2) -> list[str]:
        """Ask.

        Args:
            question: what to ask
        """
        return [question] * top_k

    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> Iterator[str]:
        yield f"{self.says} "
        yield messages[-1]["content"]

    def run_response(self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]) -> str:
        return f"{self.says} response"

    def run_file_upload(self, filename: str, content_type: str | None, content: bytes, purpose: str) -> dict[str, Any]:
        return {"id": "file-1", "bytes": len(content), "filename": filename}


def deployment(*methods: str, says: str = "meow", **more: Any) -> Deployment:
    wrapper = Wrapper(says)
    return Deployment(
        name="docs_qa",
        pipeline=None,
        wrapper=wrapper,
        source=Source(kind="object"),
        api=typed_function(wrapper.run_api, "docs_qa") if "api" in methods else None,
        chat=wrapper.run_chat_completion if "chat" in methods else None,
        response=wrapper.run_response if "response" in methods else None,
        upload=wrapper.run_file_upload if "upload" in methods else None,
        **more,
    )


def ask(app: Any, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    return asyncio.run(visit(app, method, path, body, headers={**JSON, **headers}))


@pytest.fixture
def app() -> PipelineApp:
    return PipelineApp(deployment("api", "chat"))


@pytest.mark.parametrize("path", ["/run", "/docs_qa/run"])
def test_it_is_called_as_any_function(app: PipelineApp, path: str) -> None:
    assert ask(app, "POST", path, {"question": "why"}).json == {"result": ["why", "why"]}


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/chat", "/chat/"])
@pytest.mark.parametrize("root", ["", "/portico/apps/docs-qa"])
def test_chat_clients_find_it_under_each_base_url(app: PipelineApp, path: str, root: str) -> None:
    body = {"model": "docs_qa", "messages": MESSAGES}
    answer = asyncio.run(visit(app, "POST", root + path, body, headers=JSON, root_path=root))
    assert answer.json["choices"][0]["message"]["content"] == "meow hello"


def test_a_stream_of_its_chat(app: PipelineApp) -> None:
    answer = ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, "stream": True})
    pieces = [one["choices"][0]["delta"].get("content") for one in answer.events if one != "[DONE]"]
    assert [piece for piece in pieces if piece] == ["meow ", "hello"]


def test_its_page_is_a_form_that_leads_to_the_chat(app: PipelineApp) -> None:
    page = ask(app, "GET", "/", accept=HTML["accept"])
    assert page.status == 200
    assert '<a href="chat">Chat</a>' in page.body.decode()
    assert 'data-url="v1"' in page.body.decode()
    chat = ask(app, "GET", "/chat", accept=HTML["accept"])
    assert '"chat": ["docs_qa"]' in chat.body.decode()
    assert "script-src 'sha256-" in chat.headers["content-security-policy"]
    assert ask(app, "HEAD", "/chat").body == b""


def test_the_page_of_one_that_only_talks_is_its_chat() -> None:
    app = PipelineApp(deployment("chat"))
    assert '"chat": ["docs_qa"]' in ask(app, "GET", "/", accept=HTML["accept"]).body.decode()
    assert ask(app, "POST", "/run", {}).status == 404
    assert app.tools.names == ()
    assert ask(app, "GET", "/").json["functions"] == []


def test_one_that_does_not_talk_has_no_models() -> None:
    app = PipelineApp(deployment("api"))
    assert app.model_ids == []
    assert ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES}).status == 404
    assert "Chat" not in ask(app, "GET", "/", accept=HTML["accept"]).body.decode()


def test_one_that_only_answers_the_responses_api_leads_people_to_its_description() -> None:
    app = PipelineApp(deployment("response"))
    assert (app.model_ids, app.pages) == (["docs_qa"], [])
    for path, root, to in (("/", "", "docs"), ("/apps/x", "/apps/x", "./x/docs"), ("/apps/x/", "/apps/x", "docs")):
        answer = asyncio.run(visit(app, "GET", path, headers=HTML, root_path=root))
        assert (answer.status, answer.headers["location"]) == (307, to)
    assert ask(app, "POST", "/chat", {"messages": MESSAGES}).status == 501
    assert ask(app, "GET", "/chat", accept=HTML["accept"]).status != 200
    described = ask(app, "GET", "/openapi.json").json["paths"]
    assert "/v1/responses" in described
    assert "/v1/chat/completions" not in described


def test_a_pipeline_that_is_called_like_a_path_of_the_api_is_called_all_the_same() -> None:
    wrapper = Wrapper()
    for name in ("chat", "models", "responses"):
        one = Deployment(
            name=name,
            pipeline=None,
            wrapper=wrapper,
            source=Source(kind="object"),
            api=typed_function(wrapper.run_api, name),
            chat=wrapper.run_chat_completion,
        )
        app = PipelineApp(one)
        assert ask(app, "POST", f"/{name}/run", {"question": "why"}).status == 200
        assert ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES}).status == 200


def test_the_description_has_both_sides(app: PipelineApp) -> None:
    described = ask(app, "GET", "/openapi.json").json
    assert {"/run", "/v1/chat/completions", "/v1/models"} <= described["paths"].keys()
    assert "docs_qaRunRequest" in described["components"]["schemas"]
    assert "/v1/models" not in ask(PipelineApp(deployment("api")), "GET", "/openapi.json").json["paths"]


def test_agents_are_told_of_it_unless_its_author_says_otherwise(app: PipelineApp) -> None:
    assert app.tools.names == ("docs_qa",)
    assert "what to ask" in json.dumps(app.tools.definitions["docs_qa"])
    hidden = PipelineApp(deployment("api", skip_mcp=True))
    assert hidden.tools.names == ()
    assert ask(hidden, "POST", "/run", {"question": "why"}).status == 200


def test_another_deployment_takes_its_place_from_the_next_request_on(app: PipelineApp) -> None:
    described = ask(app, "GET", "/openapi.json").json
    tag = app.tag
    app.replace(deployment("api", "chat", says="woof"))
    body = {"messages": MESSAGES}
    assert ask(app, "POST", "/chat", body).json["choices"][0]["message"]["content"] == "woof hello"
    assert app.tag == tag, "what is stored is found still"
    app.replace(deployment("api"))
    assert ask(app, "POST", "/chat", body).status == 404
    assert ask(app, "GET", "/openapi.json").json["paths"].keys() < described["paths"].keys()
    app.replace(deployment("chat"))
    assert ask(app, "POST", "/run", {"question": "why"}).status == 404
    assert ask(app, "POST", "/chat", body).status == 200


def test_stored_responses_are_there_for_who_takes_the_place() -> None:
    app = PipelineApp(deployment("chat", "response"))

    async def told() -> Any:
        made = (await visit(app, "POST", "/v1/responses", {"input": "hello"}, headers=JSON)).json
        after = PipelineApp(deployment("response", says="woof"))
        after.keep_stored(app)
        assert after.tag == app.tag, "a hub finds it by that"
        return (await visit(after, "GET", f"/v1/responses/{made['id']}", headers=JSON)).json

    assert asyncio.run(told())["output"][0]["content"][0]["text"] == "meow response"


def test_the_author_sees_what_goes_wrong_and_the_visitor_no_traceback() -> None:
    seen: list[BaseException] = []

    class Fails(Wrapper):
        def run_api(self, question: str, top_k: int = 2) -> list[str]:
            raise LookupError("no such page")

    one = Fails()
    api = typed_function(one.run_api, "x")
    made = Deployment(name="x", pipeline=None, wrapper=one, source=Source(kind="object"), api=api)
    answer = ask(PipelineApp(made, on_error=seen.append), "POST", "/run", {"question": "why"})
    assert answer.status == 500
    assert "Traceback" not in answer.body.decode()
    assert [type(error) for error in seen] == [LookupError]


def test_its_lifespan_ends_what_is_open(app: PipelineApp) -> None:
    sent: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/deploy_files"), ("POST", "/undeploy/x")])
def test_what_is_not_there_is_404_and_nothing_deploys(app: PipelineApp, method: str, path: str) -> None:
    assert ask(app, method, path, {}).status == 404


PAGE = "text/event-stream, application/vnd.portico.display+json;q=0.9"
"""What the page of a form asks for."""


class Streams:
    def run_api(self, framed: bool = False) -> Any:
        pieces = (piece for piece in ["a", None, {"b": 1}])
        return SSEStream(pieces) if framed else pieces

    def fails(self) -> str:
        raise LookupError("no such page")

    def refuses(self) -> str:
        raise HTTPException(418, "short and stout")


def served(function: Any, name: str = "x") -> PipelineApp:
    one = Deployment(
        name=name, pipeline=None, wrapper=None, source=Source(kind="object"), api=typed_function(function, name)
    )
    return PipelineApp(one, on_error=lambda error: None)


def test_what_a_pipeline_gives_decides_how_programs_are_answered() -> None:
    app = served(Streams().run_api)
    text = ask(app, "POST", "/run", {})
    assert (text.headers["content-type"], text.body) == ("text/plain; charset=utf-8", b'a{"b": 1}')
    framed = ask(app, "POST", "/run", {"framed": True}, accept="text/event-stream")
    assert framed.headers["content-type"].startswith("text/event-stream")
    assert framed.body.startswith(b"data: a\n\n")


@pytest.mark.parametrize("arguments", [{}, {"framed": True}])
def test_the_page_is_given_pieces_and_a_result_whatever_it_is(arguments: dict[str, Any]) -> None:
    body = ask(served(Streams().run_api), "POST", "/run", arguments, accept=PAGE).body.decode()
    assert body.startswith("data: a\n\n")
    assert 'data: {"b": 1}' in body
    assert body.rstrip().endswith('"result":null}') or "event: result" in body
    whole = ask(PipelineApp(deployment("api")), "POST", "/run", {"question": "why"}, accept=PAGE).body.decode()
    assert whole.startswith("event: result")
    assert '"why"' in whole


@pytest.mark.parametrize("path", ["/files", "/v1/files"])
def test_files_are_for_one_that_takes_them(path: str) -> None:
    body, headers = form(("purpose", "user_data"), ("file", "a.txt", b"abc", "text/plain"))
    taken = asyncio.run(visit(PipelineApp(deployment("chat", "upload")), "POST", path, body, headers=headers))
    assert (taken.status, taken.json["id"], taken.json["bytes"]) == (200, "file-1", 3)
    other = asyncio.run(visit(PipelineApp(deployment("api")), "POST", path, body, headers=headers))
    assert other.status == 404


def test_failures_are_told_as_by_the_server_of_pipelines() -> None:
    failed = ask(served(Streams().fails), "POST", "/run", {})
    assert (failed.status, failed.json["detail"]) == (500, "Pipeline execution failed: no such page")
    assert ask(served(Streams().fails), "POST", "/run", {}, accept=PAGE).status == 500
    refused = ask(served(Streams().refuses), "POST", "/run", {})
    assert (refused.status, refused.json["detail"]) == (418, "short and stout")


def test_its_picture_is_drawn_where_it_has_one() -> None:
    pipe = Pipeline()
    pipe.add_component("prompt", PromptBuilder("Hello {{ name }}", required_variables=["name"]))
    app = PipelineApp(replace(deployment("api", "chat"), pipeline=pipe))
    assert ask(app, "GET", "/draw").headers["content-type"] == "image/png"
    seen = ask(app, "GET", "/draw", accept=HTML["accept"])
    assert seen.headers["content-type"].startswith("image/svg")
    assert b"prompt" in seen.body
    assert asyncio.run(visit(app, "GET", "/draw?form=mermaid")).status == 200
    assert asyncio.run(visit(app, "GET", "/draw?form=gif")).status == 422
    assert ask(app, "POST", "/draw", {}).status == 405
    assert '<a href="draw">Picture</a>' in ask(app, "GET", "/", accept=HTML["accept"]).body.decode()
    assert '<a href="draw">Picture</a>' in ask(app, "GET", "/chat", accept=HTML["accept"]).body.decode()
    without = PipelineApp(deployment("api"))
    assert ask(without, "GET", "/draw").status == 404
    assert "Picture" not in ask(without, "GET", "/", accept=HTML["accept"]).body.decode()


def test_agents_are_given_what_the_server_of_pipelines_gives_them() -> None:
    [tool] = served(Streams().run_api).agent_tools()
    result = asyncio.run(tool.call({}, ToolCaller(headers=[])))
    assert (result.content[0]["text"], result.is_error) == ('a{"b": 1}', False)
    [tool] = served(Streams().fails).agent_tools()
    assert asyncio.run(tool.call({}, ToolCaller(headers=[]))).is_error
