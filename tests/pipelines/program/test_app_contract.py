"""The wire of a server of pipelines as clients of Hayhooks know it, sentence by sentence: over `create_app`.

What a name says is true of Hayhooks 2.1, too, unless it says "here".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from portico.pipelines import create_app

HEAD = """
from typing import *
from hayhooks import BasePipelineWrapper, SSEStream, get_last_user_message
from fastapi import HTTPException, UploadFile
from fastapi.responses import PlainTextResponse
from haystack.dataclasses import ChatMessage, ReasoningContent, StreamingChunk
from hayhooks.events import create_status_event
from pydantic import BaseModel
from starlette.datastructures import Headers


class Point(BaseModel):
    x: int
    y: str = "d"


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None
"""

WRAPPERS = {
    "add": '''
    def run_api(self, a: int, b: int = 2) -> int:
        """Add two numbers.

        And more.

        Args:
            a: the first
        """
        return a + b
''',
    "chat": """
    def run_chat_completion(self, model: str, messages: List[dict], body: dict) -> Union[str, Generator]:
        return f"{model} {get_last_user_message(messages)} {sorted(body)}"
""",
    "pieces": """
    def run_chat_completion(self, model, messages, body):
        yield StreamingChunk(content="", reasoning=ReasoningContent(reasoning_text="hm"), index=0)
        yield "a"
        yield create_status_event("busy")
        yield StreamingChunk(content="b")
""",
    "reply": """
    def run_response(self, model: str, input_items: List[dict], body: dict) -> str:
        return repr(input_items)
""",
    "fail": """
    def run_api(self, how: str = "") -> int:
        if how == "http":
            raise HTTPException(418, {"a": 1}, headers={"X-Tea": "pot"})
        if how == "wrong":
            return "no number"
        raise ValueError("it broke")
""",
    "nested": """
    def run_api(self, p: Point, more: Optional[List[Point]] = None) -> str:
        return f"{type(p).__name__} {p}"
""",
    "heads": """
    def run_api(self, x: str = "", headers: Headers | None = None) -> str:
        return str(headers.get("x-me"))
""",
    "field": """
    def run_api(self, headers: dict) -> dict:
        return headers
""",
    "upload": """
    def run_api(self, files: Optional[List[UploadFile]] = None, n: int = 3) -> list:
        return [[f.filename for f in files or []], n]
""",
    "needs": """
    def run_api(self, files: List[UploadFile]) -> int:
        return len(files)
""",
    "kinds": """
    def run_api(self) -> Generator:
        yield StreamingChunk(content="c")
        yield StreamingChunk(content="", reasoning=ReasoningContent(reasoning_text="r"), index=0)
        yield {"k": 1}
        yield [1]
        yield 7
        yield None
        yield create_status_event("unseen")
        yield "!"
""",
    "events": """
    def run_api(self) -> SSEStream:
        return SSEStream(iter_of(["one", "two\\nthree", {"a": 1}]))


def iter_of(items):
    yield from items
""",
    "own": """
    def run_api(self) -> PlainTextResponse:
        return PlainTextResponse("hi", 203, {"X-A": "b"})
""",
    "message": """
    def run_api(self) -> ChatMessage:
        return ChatMessage.from_user("Why?")
""",
}

YAML = """
components:
  double:
    type: haystack.components.converters.output_adapter.OutputAdapter
    init_parameters: {template: "{{ value * 2 }}", output_type: int}
inputs:
  value: double.value
outputs:
  result: double.output
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    for name, body in WRAPPERS.items():
        (folder / "pipelines" / name).mkdir(parents=True)
        (folder / "pipelines" / name / "pipeline_wrapper.py").write_text(HEAD + body)
    (folder / "pipelines" / "double.yml").write_text(YAML)
    before = Path.cwd()
    os.chdir(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTICO_API_KEY", "k")
        with TestClient(create_app(), headers={"X-API-Key": "k"}) as client:
            yield client
    os.chdir(before)


def run(client: TestClient, name: str, body: Any = None, **more: Any) -> Any:
    return client.post(f"/{name}/run", json={} if body is None else body, **more)


def deploy(client: TestClient, name: str, body: str, head: str = HEAD, **more: Any) -> Any:
    files = {"pipeline_wrapper.py": head + body}
    return client.post("/deploy_files", json={"name": name, "files": files, "save_files": False, **more})


# --- deploying ------------------------------------------------------------------------------------------------------


def test_a_pipeline_that_only_chats_is_told_an_endpoint_that_it_does_not_have(client: TestClient) -> None:
    assert deploy(client, "new", WRAPPERS["chat"]).json() == {"name": "new", "success": True, "endpoint": "/new/run"}
    assert client.get("/status/new").json() == {"status": "Up!", "pipeline": "new"}
    assert client.post("/new/run", json={}).status_code == 404
    assert client.post("/undeploy/new").json() == {"success": True, "name": "new"}
    gone = client.get("/status/new")
    assert (gone.status_code, gone.json()) == (404, {"detail": "Pipeline 'new' not found"})


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        ("x = 1", "", "Failed to load pipeline module 'n' - "),
        ("", "def (", "Failed to load pipeline module 'n' - "),
        ("", "import no_such_module_here", "Failed to load pipeline module 'n' - "),
        (HEAD, "    def __init__(self): raise ValueError('a')\n", "Failed to create pipeline wrapper instance: a"),
        (
            HEAD,
            "    def setup(self): raise ValueError('b')\n    def run_api(self) -> int: return 1\n",
            "Failed to call setup() on pipeline wrapper instance: b",
        ),
        (
            HEAD,
            "",
            "At least one of run_api, run_api_async, run_chat_completion, run_chat_completion_async, run_response, or "
            "run_response_async must be implemented",
        ),
        (
            HEAD,
            "    def run_api(self): return 1\n",
            "Pipeline wrapper is missing a return type for 'run_api' method",
        ),
        (
            HEAD,
            "    async def run_api_async(self): return 1\n",
            "Pipeline wrapper is missing a return type for 'run_api_async' method",
        ),
    ],
)
def test_a_wrapper_that_cannot_be_served_is_422_with_its_reason(
    client: TestClient, head: str, body: str, told: str
) -> None:
    answer = deploy(client, "n", body, head)
    assert (answer.status_code, answer.json()["detail"][: len(told)]) == (422, told)
    assert client.get("/status/n").status_code == 404


def test_a_missing_wrapper_file_is_told_in_the_field(client: TestClient) -> None:
    answer = client.post("/deploy_files", json={"name": "n", "files": {"a.py": ""}})
    assert (answer.status_code, "Missing required file" in answer.json()["detail"][0]["msg"]) == (422, True)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "../a", "/a"])
def test_a_name_that_leads_elsewhere_is_422(client: TestClient, name: str) -> None:
    assert deploy(client, name, WRAPPERS["add"]).status_code == 422


@pytest.mark.parametrize("name", ["a\\b", "a:b", "%00"])
def test_undeploying_a_name_that_none_can_have_is_422(client: TestClient, name: str) -> None:
    assert client.post("/undeploy/" + name.replace("\\", "%5C")).status_code == 422


@pytest.mark.parametrize("key", ["../a.py", "/a.py", "a/../../b", "..\\a", "a/./b", "a//b", ""])
def test_a_file_key_that_traverses_is_422(client: TestClient, key: str) -> None:
    files = {"pipeline_wrapper.py": HEAD + WRAPPERS["add"], key: "x"}
    assert client.post("/deploy_files", json={"name": "n", "files": files}).status_code == 422


@pytest.mark.parametrize(
    "declared", ["headers: Headers", "headers: Headers | None", "headers: Headers = None", "h: Headers | None = None"]
)
def test_headers_that_are_declared_otherwise_are_422_at_deploy(client: TestClient, declared: str) -> None:
    assert deploy(client, "n", f"    def run_api(self, {declared}) -> int: return 1\n").status_code == 422


# --- running --------------------------------------------------------------------------------------------------------


def test_the_models_of_a_run_are_named_after_it(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    assert schemas["addRunRequest"]["properties"] == {
        "a": {"description": "the first", "title": "A", "type": "integer"},
        "b": {"default": 2, "description": "Parameter 'b'", "title": "B", "type": "integer"},
    }
    assert schemas["addRunResponse"]["properties"]["result"]["type"] == "integer"
    assert "headers" not in schemas["headsRunRequest"]["properties"]
    assert list(described["paths"]["/upload/run"]["post"]["requestBody"]["content"]) == ["multipart/form-data"]


@pytest.mark.parametrize("body", [{"a": 1}, {"a": "1", "b": "2"}, {"a": 1.0}, {"a": 1, "more": []}])
def test_numbers_are_read_laxly_and_more_fields_are_ignored(client: TestClient, body: dict[str, Any]) -> None:
    assert run(client, "add", body).json() == {"result": 3}


@pytest.mark.parametrize("body", [{}, {"a": None}, {"a": 1.5}, {"a": "x"}, {"a": []}])
def test_a_wrong_value_is_422_with_its_place(client: TestClient, body: dict[str, Any]) -> None:
    answer = run(client, "add", body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "a"])


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(b'{"a": 1}', None), (b'{"a": 1}', "text/plain"), (b"a=1", "application/x-www-form-urlencoded"), (b"{", "*")],
)
def test_a_body_that_is_no_json_or_does_not_say_so_is_422(
    client: TestClient, content: bytes, media_type: str | None
) -> None:
    headers = {"content-type": "application/json" if media_type == "*" else media_type} if media_type else {}
    answer = client.post("/add/run", content=content, headers=headers)
    assert (answer.status_code, answer.json()["detail"][0]["loc"][0]) == (422, "body")


def test_a_nested_model_arrives_as_a_dict(client: TestClient) -> None:
    assert run(client, "nested", {"p": {"x": "1", "z": 0}}).json()["result"] == "dict {'x': 1, 'y': 'd'}"


def test_errors_are_500_and_an_http_exception_passes(client: TestClient) -> None:
    failed = run(client, "fail")
    assert (failed.status_code, failed.json()) == (500, {"detail": "Pipeline execution failed: it broke"})
    wrong = run(client, "fail", {"how": "wrong"})
    assert (wrong.status_code, wrong.json()["detail"].startswith("Pipeline execution failed: ")) == (500, True)
    passed = run(client, "fail", {"how": "http"})
    assert (passed.status_code, passed.json(), passed.headers["x-tea"]) == (418, {"detail": {"a": 1}}, "pot")


def test_headers_come_of_the_request_alone(client: TestClient) -> None:
    forged = run(client, "heads", {"headers": {"x-me": "forged"}}, headers={"X-Me": "me"})
    assert forged.json() == {"result": "me"}
    assert run(client, "heads", {"headers": {"x-me": "forged"}}).json() == {"result": "None"}
    assert run(client, "field", {"headers": {"a": 1}}).json() == {"result": {"a": 1}}
    assert run(client, "field").status_code == 422


def test_files_come_in_forms_whose_fields_are_checked_like_json(client: TestClient) -> None:
    files = [("files", ("a.txt", b"1", "text/plain")), ("files", ("b.txt", b"2", "text/plain"))]
    sent = client.post("/upload/run", files=files, data={"n": "7"})
    assert sent.json() == {"result": [["a.txt", "b.txt"], 7]}
    assert client.post("/upload/run", files=files, data={"n": "x"}).status_code == 422
    assert client.post("/upload/run").json() == {"result": [[], 3]}


def test_a_form_without_files_may_be_url_encoded(client: TestClient) -> None:
    assert client.post("/upload/run", data={"n": "7"}).json() == {"result": [[], 7]}
    wrong = client.post("/upload/run", data={"n": "x"})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "n"])
    missing = client.post("/needs/run", data={"n": "1"})
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "files"])
    other = {"sec-fetch-site": "cross-site"}
    assert client.post("/upload/run", data={"n": "7"}, headers=other).status_code == 403


def test_json_is_not_taken_where_files_come(client: TestClient) -> None:
    assert run(client, "needs").status_code == 422


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_is_text_of_what_each_piece_says(client: TestClient) -> None:
    answer = run(client, "kinds")
    assert (answer.headers["content-type"], answer.text) == ("text/plain; charset=utf-8", 'cr{"k": 1}[1]7!')


def test_an_sse_stream_has_a_line_of_data_for_each_line_of_text(client: TestClient) -> None:
    answer = run(client, "events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text == 'data: one\n\ndata: two\ndata: three\n\ndata: {"a": 1}\n\n'


def test_a_response_of_the_wrappers_own_is_sent_as_it_is(client: TestClient) -> None:
    answer = run(client, "own")
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (203, "hi", "b")


# --- the OpenAI API -------------------------------------------------------------------------------------------------


def chat(client: TestClient, model: str, path: str = "/v1/chat/completions", **more: Any) -> Any:
    return client.post(path, json={"model": model, "messages": [{"role": "user", "content": "hi"}], **more})


def chunks(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/chat/chat", "/chat/chat/completions"])
def test_chat_is_at_each_of_its_paths_and_the_body_holds_every_field(client: TestClient, path: str) -> None:
    said = chat(client, "chat", path, top_k=3).json()["choices"][0]["message"]["content"]
    assert said == "chat hi ['messages', 'model', 'stream', 'top_k']"


def test_a_generator_is_joined_and_a_string_is_one_chunk(client: TestClient) -> None:
    whole = chat(client, "pieces").json()["choices"][0]
    assert (whole["message"]["content"], whole["finish_reason"]) == ("ab", "stop")
    first, last = chunks(chat(client, "chat", stream=True).text)
    assert first["choices"][0]["delta"]["content"].startswith("chat hi")
    assert (last["choices"][0]["delta"].get("content"), last["choices"][0]["finish_reason"]) == (None, "stop")


def test_a_stream_of_chat_has_one_id_its_reasoning_and_its_events(client: TestClient) -> None:
    said = chunks(chat(client, "pieces", stream=True).text)
    deltas = [one["choices"][0]["delta"] for one in said if "choices" in one]
    assert deltas[0]["reasoning_content"] == "hm"
    assert "".join(delta.get("content") or "" for delta in deltas) == "ab"
    assert len({one["id"] for one in said if "choices" in one}) == 1
    assert [one["event"]["type"] for one in said if "event" in one] == ["status"]


def test_what_a_pipeline_does_not_do_is_501(client: TestClient) -> None:
    assert (chat(client, "add").status_code, chat(client, "add").json()["detail"]) == (
        501,
        "Chat endpoint not implemented for this model",
    )
    answer = client.post("/v1/responses", json={"model": "chat", "input": "hi"})
    assert (answer.status_code, answer.json()["detail"]) == (501, "Responses endpoint not implemented for this model")


@pytest.mark.parametrize("path", ["/responses", "/v1/responses"])
def test_a_string_of_input_becomes_one_message_of_the_user(client: TestClient, path: str) -> None:
    answer = client.post(path, json={"model": "reply", "input": "hi"}).json()
    assert answer["output"][0]["content"][0]["text"] == repr([{"type": "message", "role": "user", "content": "hi"}])
    assert answer["id"].startswith("resp_")


@pytest.mark.parametrize("path", ["/files", "/v1/files"])
def test_a_file_that_no_wrapper_takes_is_told_of(client: TestClient, path: str) -> None:
    file = {"file": ("a.txt", b"abc", "text/plain")}
    told = client.post(path, files=file, data={"purpose": "assistants"}).json()
    assert (told["id"][:5], told["status"], told["bytes"], told["filename"]) == ("file-", "processed", 3, "a.txt")


# --- YAML -----------------------------------------------------------------------------------------------------------


def test_a_result_of_yaml_is_by_component_and_each_input_is_required(client: TestClient) -> None:
    assert run(client, "double", {"value": 5}).json() == {"result": {"double": {"output": 10}}}
    assert run(client, "double").status_code == 422


def test_yaml_without_inputs_and_outputs_and_one_target_twice_are_422(client: TestClient) -> None:
    bare = client.post("/deploy-yaml", json={"name": "y", "source_code": YAML.split("inputs:")[0]})
    assert (bare.status_code, bare.json()["detail"]) == (
        422,
        "YAML pipeline must declare at least one of 'inputs' or 'outputs'.",
    )
    twice = YAML.replace("  value: double.value", "  a: double.value\n  b: double.value")
    again = client.post("/deploy-yaml", json={"name": "y", "source_code": twice})
    assert (again.status_code, "only once" in again.json()["detail"]) == (422, True)


def test_a_message_is_written_as_haystack_does(client: TestClient) -> None:
    assert run(client, "message").json() == {
        "result": {"_role": "user", "_content": [{"text": "Why?"}], "_name": None, "_meta": {}}
    }
