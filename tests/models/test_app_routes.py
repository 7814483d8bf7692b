"""Routes, CORS, lifespan, and what is nobody's route."""

import asyncio

import pytest
from openai.types import Model

from portico.models import ChatServer, chat_server, create_openai_chat_server, model
from tests.models.visitor import MESSAGES, ask


def cat(messages):
    return "meow"


@model("text/embed:small", kind="embedding", owned_by="me")
def vectors(texts):
    return [[1.0]] * len(texts)


APP = chat_server({"org/cat:7b": cat, "text/embed:small": vectors})


def test_both_names_make_a_server():
    assert isinstance(create_openai_chat_server({"m": cat}), ChatServer)
    assert APP.model_ids == ["org/cat:7b", "text/embed:small"]
    assert APP.kinds == {"org/cat:7b": "chat", "text/embed:small": "embedding"}


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_models(prefix):
    listed = ask(APP, "GET", f"{prefix}/models").json
    assert listed["object"] == "list"
    assert [Model.model_validate(row).id for row in listed["data"]] == APP.model_ids
    one = ask(APP, "GET", f"{prefix}/models/org/cat:7b").json
    assert one == listed["data"][0]
    assert ask(APP, "GET", f"{prefix}/models/text/embed:small").json["owned_by"] == "me"
    missing = ask(APP, "GET", f"{prefix}/models/nope")
    assert (missing.status, missing.error["code"]) == (404, "model_not_found")
    assert ask(APP, "GET", f"{prefix}/health").json["status"] == "ok"


def test_the_sdk_asks_for_an_id_with_slashes(sdk):
    client = sdk(APP)
    assert client.models.retrieve("org/cat:7b").id == "org/cat:7b"
    assert [one.id for one in client.models.list()] == APP.model_ids


def test_below_a_root_path():
    for path in ("/apps/zoo/v1/models", "/v1/models"):
        assert ask(APP, "GET", path, root_path="/apps/zoo").json["object"] == "list"
    assert (
        ask(APP, "POST", "/apps/zoo", {"model": "org/cat:7b", "messages": MESSAGES}, root_path="/apps/zoo").status
        == 200
    )


def test_head_has_no_body():
    answer = ask(APP, "HEAD", "/v1/models")
    assert answer.status == 200
    assert answer.body == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/models/org/cat:7b", 405),
        ("PUT", "/v1/embeddings", 405),
        ("POST", "/v1/audio/speech", 501),
        ("POST", "/v1/images/generations", 501),
        ("GET", "/v1/files", 501),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/responses/nope", 404),
        ("DELETE", "/v1/responses/nope", 404),
        ("POST", "/v1/responses/nope/cancel", 404),
        ("GET", "/v1/responses/nope/input_items", 404),
        ("GET", "/v1/responses/nope/other", 404),
        ("PUT", "/v1/responses/nope", 405),
        ("POST", "/v1/responses/compact", 501),
        ("POST", "/v1/responses/nope", 405),
    ],
)
def test_what_is_not_here(method, path, status):
    answer = ask(APP, method, path, {})
    assert answer.status == status
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert ("allow" in answer.headers) == (status == 405)


def test_a_preflight_is_answered_without_credentials():
    asked = {
        "Origin": "https://chat.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-stainless-lang, x-of-tomorrow",
    }
    answer = ask(APP, "OPTIONS", "/v1/chat/completions", headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-stainless-lang, x-of-tomorrow"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("stream", [True, False])
def test_answers_and_errors_may_be_read_by_pages(stream):
    for body in ({"model": "org/cat:7b", "messages": MESSAGES, "stream": stream}, {}):
        answer = ask(APP, "POST", "/v1/chat/completions", body, headers={"Origin": "https://chat.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_only_the_origins_that_were_named():
    app = chat_server({"m": cat}, allow_origins=["https://good.example"])
    asked = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
    assert ask(app, "OPTIONS", "/v1", headers=asked).headers["access-control-allow-origin"] == "https://good.example"
    asked["Origin"] = "https://bad.example"
    assert not [name for name in ask(app, "OPTIONS", "/v1", headers=asked).headers if name.startswith("access-")]
    assert "access-control-allow-origin" not in ask(app, "GET", "/v1/models", headers=asked).headers


def test_lifespan():
    async def run():
        inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent = []

        async def receive():
            return inbox.pop(0)

        async def send(message):
            sent.append(message["type"])

        await APP({"type": "lifespan"}, receive, send)
        return sent

    assert asyncio.run(run()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_websocket_elsewhere_is_refused():
    async def run():
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message["type"])

        await APP({"type": "websocket", "path": "/v1/chat/completions", "headers": []}, receive, send)
        return sent

    assert asyncio.run(run()) == ["websocket.close"]


def test_a_client_that_leaves_during_its_upload():
    async def run():
        sent = []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        from tests.models.visitor import scope

        await APP(scope("POST", "/v1/chat/completions"), receive, send)
        return sent

    assert asyncio.run(run()) == []


def test_the_description_names_the_routes_that_are_there():
    described = ask(APP, "GET", "/openapi.json").json
    assert described["openapi"] == "3.1.0"
    assert sum(len(operations) for operations in described["paths"].values()) == 11
    for path, operations in described["paths"].items():
        for method in operations:
            id = "resp_0" if "/responses/" in path else "org/cat:7b"
            answer = ask(APP, method.upper(), path.replace("{id}", id), {})
            assert answer.status in (200, 400, 404), (method, path)
            if answer.status == 404:  # there is no such response; there is such a route
                assert answer.error["message"] == "There is no stored response with the id 'resp_0'.", (method, path)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/v1/models/org/cat:7b", "GET, HEAD, OPTIONS"),
        ("/v1/chat/completions", "POST, OPTIONS"),
        ("/v1", "GET, HEAD, POST, OPTIONS"),
        ("/v1/responses/some", "GET, HEAD, DELETE, OPTIONS"),
        ("/v1/responses/some/cancel", "POST, OPTIONS"),
        ("/v1/nothing", "OPTIONS"),
    ],
)
def test_options_lists_the_methods(path, allowed):
    assert ask(APP, "OPTIONS", path).headers["allow"] == allowed


def test_the_description_offers_each_endpoint_its_models():
    paths = ask(APP, "GET", "/openapi.json").json["paths"]

    def model_of(path, app_paths=paths):
        schema = app_paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        return schema["properties"]["model"], "model" in schema["required"]

    assert model_of("/v1/chat/completions") == ({"type": ["string", "null"], "examples": ["org/cat:7b"]}, False)
    assert model_of("/v1/embeddings") == ({"type": ["string", "null"], "examples": ["text/embed:small"]}, False)
    two = ask(chat_server({"a": cat, "b": cat}), "GET", "/openapi.json").json["paths"]
    assert model_of("/v1/responses", two) == ({"type": "string", "examples": ["a", "b"]}, True)
