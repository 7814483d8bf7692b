"""Status, deploying and undeploying over HTTP: what each is asked and answers, as Hayhooks has it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from portico.errors import NoSuchPipeline, PipelineError
from portico.pipelines.deploying.names import check_keys, check_name
from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings
from tests.pipelines import serving
from tests.pipelines.program.test_app import YAML
from tests.pipelines.serving import BEARER, KEY


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(PipelinesSettings(pipelines_dir=str(tmp_path), api_key=KEY))
    with TestClient(app, headers=BEARER) as client:
        yield client


def yaml(**more: Any) -> dict[str, Any]:
    return {"name": "hello", "source_code": YAML, **more}


def test_a_yaml_comes_and_goes(client: TestClient) -> None:
    answer = client.post("/deploy-yaml", json=yaml(description="Greets."))
    assert answer.json() == {"name": "hello", "success": True, "endpoint": "/hello/run"}
    assert client.get("/status/hello").json() == {"status": "Up!", "pipeline": "hello"}
    status = client.get("/status").json()
    assert (status["status"], status["pipelines"]) == ("Up!", ["hello"])
    assert status["failed"] == []
    (summary,) = status["deployments"]
    assert (summary["name"], summary["description"]) == ("hello", "Greets.")
    assert summary["capabilities"] == ["run_api", "mcp_eligible"]
    again = client.post("/deploy-yaml", json=yaml())
    assert (again.status_code, again.json()) == (409, {"detail": "Pipeline 'hello' already exists"})
    assert client.post("/deploy-yaml", json=yaml(overwrite=True, more=1)).status_code == 200
    assert client.post("/undeploy/hello").json() == {"success": True, "name": "hello"}
    for method, path in (("POST", "/undeploy/hello"), ("GET", "/status/hello"), ("POST", "/hello/run")):
        gone = client.request(method, path, json={})
        assert (gone.status_code, gone.json()) == (404, {"detail": "Pipeline 'hello' not found"}), path


def test_names_of_any_letters_are_found_by_their_paths(client: TestClient) -> None:
    assert client.post("/deploy-yaml", json=yaml(name="grüß dich")).json()["name"] == "grüß dich"
    assert client.get("/status/grüß dich").json()["pipeline"] == "grüß dich"
    assert client.post("/grüß dich/run", json={"name": "you"}).status_code == 200
    assert client.post("/undeploy/grüß dich").status_code == 200


@pytest.mark.parametrize(
    ("body", "loc", "text"),
    [
        ({"name": "n", "files": {}}, ["body", "files"], "Missing required file: pipeline_wrapper.py"),
        ({"name": "n", "files": {"a.txt": "x"}}, ["body", "files"], "Missing required file: pipeline_wrapper.py"),
        ({"name": "n"}, ["body", "files"], "Field required"),
        ({"files": {"pipeline_wrapper.py": "x"}}, ["body", "name"], "Field required"),
        ({"name": "n", "files": {"pipeline_wrapper.py": 5}}, ["body", "files"], "valid"),
        ({"name": 5, "files": {"pipeline_wrapper.py": ""}}, ["body", "name"], "valid string"),
        ([], ["body"], "valid dictionary"),
    ],
)
def test_a_wrong_field_of_a_deploy_is_told_with_its_place(
    client: TestClient, body: Any, loc: list[str], text: str
) -> None:
    answer = client.post("/deploy_files", json=body)
    assert answer.status_code == 422
    first = answer.json()["detail"][0]
    assert first["loc"][: len(loc)] == loc
    assert text in first["msg"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "/a"])
def test_a_name_that_leads_elsewhere_is_refused(client: TestClient, name: str) -> None:
    for path, body in (
        ("/deploy_files", {"name": name, "files": {"pipeline_wrapper.py": "x = 1"}}),
        ("/deploy-yaml", yaml(name=name)),
    ):
        assert client.post(path, json=body).status_code == 422


@pytest.mark.parametrize("key", ["../x.py", "/etc/x", "a/../../x", "a\\..\\x", "", "./x/"])
def test_a_file_that_leads_elsewhere_is_refused(client: TestClient, key: str) -> None:
    body = {"name": "n", "files": {"pipeline_wrapper.py": "x = 1", key: "y"}}
    assert client.post("/deploy_files", json=body).status_code == 422


def test_what_is_no_json_is_refused_and_tells_why(client: TestClient) -> None:
    json = serving.JSON
    assert client.post("/deploy_files", content=b'{"name', headers=json).json()["detail"][0]["type"] == "json_invalid"
    assert client.post("/deploy_files", content=b"\xff", headers=json).status_code == 422
    assert client.post("/deploy_files", content=b"{}", headers={"content-type": "text/plain"}).status_code == 422
    assert (
        client.post("/deploy_files", content=b"{}", headers={**json, "content-length": "999999999"}).status_code == 413
    )


def test_bytes_that_are_not_utf_8_come_in_base64(client: TestClient) -> None:
    wrong = {"name": "n", "files": {"pipeline_wrapper.py": "", "b.bin": {"encoding": "base64", "content": "%%"}}}
    assert client.post("/deploy_files", json=wrong).status_code == 422
    content = base64.b64encode(b"\xff\x00").decode()
    from portico.pipelines.server.deploy_requests import PipelineFilesRequest

    files: Any = {"pipeline_wrapper.py": "ä", "b.bin": {"encoding": "base64", "content": content}}
    read = PipelineFilesRequest(name="n", files=files)
    assert [file.encode() for file in read.files.values()] == ["ä".encode(), b"\xff\x00"]


def test_a_pipeline_is_drawn(client: TestClient) -> None:
    client.post("/deploy-yaml", json=yaml())
    picture = client.get("/draw/hello")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.content.startswith(b"\x89PNG")
    assert client.get("/draw/hello?format=mermaid").text.count("prompt")
    assert client.get("/draw/hello", headers={"accept": "image/svg+xml"}).headers["content-type"] == "image/svg+xml"
    assert client.get("/draw/hello?format=gif").status_code == 422
    assert client.get("/draw/other").json() == {"detail": "Pipeline 'other' not found"}


# --- many at once ---------------------------------------------------------------------------------------------------

SLOW = """
import time
from portico.pipelines import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None
        time.sleep(1)

    def run_api(self, a: int) -> int:
        return a + 1
"""


def test_of_five_deploys_of_one_name_one_wins_and_nobody_else_waits(tmp_path: Path) -> None:
    app = create_app(PipelinesSettings(pipelines_dir=str(tmp_path), api_key=KEY))
    body = {"name": "slow", "files": {"pipeline_wrapper.py": SLOW}}

    async def deploy_five() -> tuple[list[int], float]:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost", headers=BEARER
            ) as client,
        ):
            deploys = [asyncio.create_task(client.post("/deploy_files", json=body)) for _ in range(5)]
            longest = 0.0
            while not all(task.done() for task in deploys):
                began = time.monotonic()
                assert (await client.get("/status")).status_code == 200
                longest = max(longest, time.monotonic() - began)
                await asyncio.sleep(0.01)
            assert (await client.post("/slow/run", json={"a": 1})).json() == {"result": 2}
            return sorted(task.result().status_code for task in deploys), longest

    statuses, longest = asyncio.run(deploy_five())
    assert statuses == [200, 409, 409, 409, 409]
    assert longest < 0.5


class Refuses:
    """Deploys nothing, and keeps what it was to deploy."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def deploy_files(self, name: str, files: Any, **more: Any) -> Any:
        check_name(name)
        check_keys(files)
        self.asked.append((name, files))
        raise PipelineError("not today")

    async def deploy_yaml(self, name: str, text: str, **more: Any) -> Any:
        check_name(name)
        self.asked.append((name, text))
        raise PipelineError("not today")

    async def undeploy(self, name: str) -> Any:
        raise NoSuchPipeline(f"Pipeline '{name}' not found")


@pytest.mark.fuzz
def test_no_body_of_a_deploy_gives_a_500(fuzz_seconds: float) -> None:
    """Any bytes are refused with a reason, or reach what deploys as a name and files that may lie in one folder."""
    chosen = random.Random(5)
    deploying = Refuses()
    served = serving.app(deploying=deploying)
    seeds = [
        ("/deploy_files", {"name": "n", "files": {"pipeline_wrapper.py": "x", "a/b.txt": "ä"}, "settings": {"a": [1]}}),
        ("/deploy_files", {"name": "n", "files": {"pipeline_wrapper.py": {"encoding": "base64", "content": "AAAA"}}}),
        ("/deploy-yaml", {"name": "n", "source_code": "a: b", "description": None, "save_file": True}),
    ]
    parts = [
        b"..",
        b"/",
        b"\\\\",
        b'"',
        b"{",
        b"[",
        b"\\u0000",
        b"\\ud800",
        b"null",
        b"1e999",
        b"\xff",
        b":",
        b"C:",
        b"",
    ]
    end = time.monotonic() + fuzz_seconds
    while time.monotonic() < end:
        path, seed = chosen.choice(seeds)
        body = bytearray(json.dumps(seed).encode())
        for _ in range(chosen.randint(0, 4)):
            at = chosen.randrange(len(body) + 1)
            body[at : at + chosen.randint(0, 3)] = chosen.choice(parts)
        answer = serving.ask(served, "POST", path, bytes(body), headers={**BEARER, **serving.JSON})
        assert answer.status in (400, 413, 422), bytes(body)
    assert deploying.asked
    for _, files in deploying.asked:
        assert isinstance(files, str) or all(".." not in key.split("/") for key in files)
