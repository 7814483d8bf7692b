"""The FastAPI app: an author's own routes, middleware, dependencies and lifespan beside the pipelines."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import NoMatchFound
from starlette.testclient import TestClient

from portico.pipelines.key_file import find
from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings
from tests.models.conftest import uvicorn_on_loopback
from tests.pipelines.serving import KEY, app
from tests.pipelines.test_runs import Echo, Pieces

YAML = """
components:
  prompt:
    type: haystack.components.builders.prompt_builder.PromptBuilder
    init_parameters: {template: "Hello {{ name }}", required_variables: "*"}
inputs:
  name: [prompt.name]
outputs:
  greeting: prompt.prompt
"""


def settings(folder: Path, **more: Any) -> PipelinesSettings:
    return PipelinesSettings(pipelines_dir=str(folder), api_key=KEY, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.yml").write_text(YAML)
    return tmp_path


def test_the_folder_is_deployed_when_it_starts_and_an_authors_routes_stand_beside_it(
    folder: Path,
) -> None:
    served = create_app(settings(folder))
    assert isinstance(served, FastAPI)
    named = {"n": 1}

    def number() -> int:
        return named["n"]

    @served.get("/own/{what}")
    async def own(what: str, n: int = Depends(number)) -> dict[str, Any]:
        return {"what": what, "n": n}

    served.dependency_overrides[number] = lambda: 5
    with TestClient(served) as client:
        assert client.get("/status").json()["pipelines"] == ["hello"]
        assert client.post("/hello/run", json={"name": "you"}).json() == {"result": {"prompt": {"prompt": "Hello you"}}}
        assert client.get("/own/thing").json() == {"what": "thing", "n": 5}
        assert client.get("/nothing").json() == {"detail": "Not Found"}
        at_the_root = client.get("/", follow_redirects=False)
        assert (at_the_root.status_code, at_the_root.headers["location"]) == (307, "/docs")
        assert client.post("/").json() == {"detail": "Not Found"}
        assert client.post("/other/run", json={}).json() == {"detail": "Pipeline 'other' not found"}
        assert client.get("/hello/run").status_code == 405
        assert client.post("/status").headers["allow"] == "GET"


def test_the_root_leads_to_the_description_unless_it_is_the_authors(folder: Path) -> None:
    served = create_app(settings(folder, root_path="/api"))
    with TestClient(served) as client:
        assert client.head("/", follow_redirects=False).headers["location"] == "/api/docs"

    @served.get("/")
    def root() -> str:
        return "mine"

    with TestClient(served) as client:
        assert client.get("/").json() == "mine"


def test_middleware_sees_every_request_and_handlers_those_that_fail(folder: Path) -> None:
    served = create_app(settings(folder))
    seen: list[str] = []

    @served.middleware("http")
    async def watch(request: Request, call_next: Any) -> Any:
        seen.append(request.url.path)
        return await call_next(request)

    @served.exception_handler(404)
    async def lost(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"lost": True}, 404)

    with TestClient(served) as client:
        assert client.post("/hello/run", json={"name": "x"}).status_code == 200
        assert client.get("/status").status_code == 200
        assert client.get("/nothing").json() == {"lost": True}
    assert seen == ["/hello/run", "/status", "/nothing"]


def test_routers_mounts_and_urls_by_name_work_as_in_any_app(folder: Path) -> None:
    served = create_app(settings(folder))
    router = APIRouter(prefix="/more", tags=["more"])

    @router.get("/{item}")
    async def item(item: int, request: Request) -> str:
        return str(request.url_for("item", item=item + 1))

    served.include_router(router)
    inner = FastAPI()

    @inner.get("/deep")
    async def deep() -> str:
        return "deep"

    served.mount("/inner", inner)
    with TestClient(served) as client:
        assert client.get("/more/1").json() == "http://testserver/more/2"
        assert client.get("/inner/deep").json() == "deep"
        assert client.get("/more/x").status_code == 422
        assert "/more/{item}" in client.get("/openapi.json").json()["paths"]
    with pytest.raises(NoMatchFound):
        served.url_path_for("nothing")


def test_a_lifespan_of_the_authors_runs_within_its_own(folder: Path) -> None:
    served = create_app(settings(folder))
    log: list[Any] = []
    ours = served.router.lifespan_context

    @asynccontextmanager
    async def around(of: Any) -> AsyncIterator[Any]:
        async with ours(of) as state:
            log.append([*served.pipelines.deployments.present])
            yield state
            log.append("over")

    served.router.lifespan_context = around
    with TestClient(served):
        pass
    assert log == [["hello"], "over"]


def test_pages_of_named_origins_may_call_and_ask_first(folder: Path) -> None:
    served = create_app(settings(folder, cors_allow_origins=("https://ui.example",)))
    with TestClient(served, base_url="http://192.168.1.7") as client:
        asked = client.options(
            "/hello/run",
            headers={
                "origin": "https://ui.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization",
            },
        )
        assert asked.status_code == 200
        headers = {"origin": "https://ui.example", "authorization": f"Bearer {KEY}"}
        answer = client.post("/hello/run", json={"name": "you"}, headers=headers)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://ui.example")
        assert client.get("/status", headers={**headers, "origin": "https://evil.example"}).status_code == 403


def test_by_default_no_answer_lets_a_page_read_it(folder: Path) -> None:
    with TestClient(create_app(settings(folder))) as client:
        for headers in ({}, {"origin": "http://testserver"}, {"origin": "http://evil.example"}):
            assert not [name for name in client.get("/status", headers=headers).headers if "access-control" in name]


def test_below_a_root_path_all_is_found_with_it_and_without(folder: Path) -> None:
    with TestClient(create_app(settings(folder, root_path="/api"))) as client:
        for path in ("/status", "/api/status"):
            assert client.get(path).json()["pipelines"] == ["hello"]
        assert client.post("/api/deploy_files", json={}).status_code == 401


def test_after_a_failure_the_connection_goes_on() -> None:
    with uvicorn_on_loopback(app(n=Echo())) as url:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        for text, status in (("boom", 500), ("a", 200), ("http", 418), ("exit", 500), ("a", 200)):
            connection.request("POST", "/n/run", json.dumps({"text": text}), {"content-type": "application/json"})
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("connection")) == (status, None)
            answer.read()
            assert connection.sock is not None
        connection.close()


def test_a_stream_that_fails_is_cut_and_ends_its_connection() -> None:
    with uvicorn_on_loopback(app(n=Pieces())) as url:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        connection.request("POST", "/n/run", json.dumps({"kind": "fail"}), {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(IncompleteRead):
            answer.read()
        connection.close()


def test_what_was_begun_is_ended_where_the_authors_startup_fails(folder: Path) -> None:
    served = create_app(settings(folder))
    closed: list[bool] = []
    close = served.pipelines.close

    async def note() -> None:
        closed.append(True)
        await close()

    served.pipelines.close = note  # type: ignore[method-assign]

    async def fail() -> None:
        raise ValueError("not today")

    served.router.on_startup.append(fail)

    with pytest.raises(ValueError, match="not today"), TestClient(served):
        pass
    assert closed == [True]


PROGRAM = """
from portico.pipelines import create_app, run_app

app = create_app()

@app.get("/own")
async def own():
    return "mine"

run_app(app, host="127.0.0.1", port=0)
"""


def test_a_program_runs_its_app_with_a_key_that_the_commands_find(folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    variables = {"PORTICO_KEY_DIR": str(keys), "PORTICO_PIPELINES_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | variables,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            assert program.stdout is not None
            url = program.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            port = urlsplit(url).port or 0
            assert httpx.get(f"{url}/own").json() == "mine"
            assert httpx.post(f"{url}/hello/run", json={"name": "you"}).status_code == 200
            assert httpx.post(f"{url}/undeploy/hello").status_code == 401
            found = find(port, keys)
            assert found is not None
            gone = httpx.post(f"{url}/undeploy/hello", headers={"authorization": f"Bearer {found.key}"})
            assert gone.json() == {"success": True, "name": "hello"}
        finally:
            program.send_signal(signal.SIGINT)
        assert program.wait(30) == 0
    assert find(port, keys) is None


def test_what_stands_beside_the_routes_is_known_to_leave_deploying_to_those_with_a_key(folder: Path) -> None:
    """Each part is open on loopback: one that deploys has to ask `may_deploy` itself, and to have a test of that."""
    parts = [type(part).__name__ for part in create_app(settings(folder)).pipelines.parts]
    assert parts == ["PipelineModels", "FilesRoute", "PipelineTools"]


def test_what_is_undeployed_is_freed_though_it_was_described_and_called(tmp_path: Path) -> None:
    wrapper = """
from portico.pipelines import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self): ...
    def run_api(self, word: str) -> str: return word
    def run_chat_completion(self, model, messages, body):
        yield "a"
"""
    body = {"name": "a", "files": {"pipeline_wrapper.py": wrapper}}
    key = {"authorization": "Bearer secret"}
    question = {"model": "a", "messages": [{"role": "user", "content": "x"}]}
    served = create_app(PipelinesSettings(pipelines_dir=str(tmp_path), api_key="secret"))
    with TestClient(served, base_url="http://localhost:1416") as client:
        assert client.post("/deploy_files", json=body, headers=key).status_code == 200
        freed = weakref.ref(served.pipelines.deployments.find("a").wrapper)
        assert freed() is not None
        assert client.post("/a/run", json={"word": "x"}).json() == {"result": "x"}
        for stream in (False, True):
            assert client.post("/v1/chat/completions", json={**question, "stream": stream}).status_code == 200
        for path in ("/openapi.json", "/status/a", "/v1/models"):
            assert client.get(path).status_code == 200
        assert client.post("/undeploy/a", headers=key).status_code == 200
        gc.collect()
        assert freed() is None
