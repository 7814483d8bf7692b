"""The server of tools alone: the pipelines of a folder at ``/mcp``, its health, its gate and its life."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline, component

from portico.functions.calling import call, validate
from portico.pipelines.components.objects import prepare_object
from portico.pipelines.deploying.folder import PipelinesFolder
from portico.pipelines.program.tools_app import ToolsApp, create_tools_app
from portico.pipelines.settings import PipelinesSettings
from tests.pipelines.program.test_app import YAML
from tests.pipelines.serving import AWAY, BEARER, KEY, ask
from tests.pipelines.tools.test_as_tools import MCP, message
from tests.tools.served import listening


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.yml").write_text(YAML)
    return tmp_path


def served(folder: Path) -> ToolsApp:
    return create_tools_app(PipelinesSettings(pipelines_dir=str(folder), api_key=KEY))


async def living(app: ToolsApp, within: Any) -> None:
    """Run *within* while *app* is up."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    inbox.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(app({"type": "lifespan"}, inbox.get, said.put))
    assert (await said.get())["type"] == "lifespan.startup.complete"
    await within()
    inbox.put_nowait({"type": "lifespan.shutdown"})
    assert (await said.get())["type"] == "lifespan.shutdown.complete"
    await life


def test_it_deploys_its_folder_when_it_starts(folder: Path) -> None:
    app = served(folder)

    async def within() -> None:
        assert list(app.deployments.present) == ["hello"]
        assert "hello" in app.tools.tools

    asyncio.run(living(app, within))


def test_components_that_block_do_not_wait_for_each_other(folder: Path) -> None:
    """In a pipeline that is run on the event loop, since another component of it can be."""
    app = served(folder)
    together = threading.Barrier(20)

    @component
    class Blocks:
        @component.output_types(question=str)
        def run(self, question: str) -> dict[str, str]:
            together.wait(20)
            return {"question": question}

    @component
    class Waits:
        @component.output_types(answer=str)
        def run(self, question: str) -> dict[str, str]:
            raise NotImplementedError

        @component.output_types(answer=str)
        async def run_async(self, question: str) -> dict[str, str]:
            return {"answer": question.upper()}

    pipe = Pipeline()
    pipe.add_component("blocks", Blocks())
    pipe.add_component("waits", Waits())
    pipe.connect("blocks.question", "waits.question")

    async def within() -> None:
        api = app.deployments.add(prepare_object("mixed", pipe)).api
        assert api is not None
        assert api.on_loop
        given = [validate(api, {"question": f"why {number}"}) for number in range(20)]
        results = await asyncio.gather(*(call(api, *arguments) for arguments in given))
        assert [result["answer"] for result in results] == [f"WHY {number}" for number in range(20)]

    asyncio.run(living(app, within))


def test_its_routes_are_tools_and_health(folder: Path) -> None:
    app = served(folder)
    listed = ask(app, "POST", "/mcp", message("tools/list"), headers=MCP)
    assert len(listed.json["result"]["tools"]) == 4
    for path in ("/health", "/status", "/mcp/health"):
        answer = ask(app, "GET", path)
        assert (answer.status, answer.json["status"]) == (200, "ok")
    assert ask(app, "POST", "/health", {}).status == 405
    missing = ask(app, "POST", "/hello/run", {"name": "you"})
    assert missing.status == 404
    assert "The tools are at /mcp" in missing.json["detail"]


def test_its_gate_is_that_of_the_whole_server(folder: Path) -> None:
    app = served(folder)
    asked = message("tools/list")
    assert ask(app, "POST", "/mcp", asked, headers=MCP, **AWAY).status == 401
    assert ask(app, "GET", "/health", **AWAY).status == 401
    assert ask(app, "POST", "/mcp", asked, headers={**MCP, **BEARER}, **AWAY).status == 200
    assert ask(app, "POST", "/mcp", asked, headers={**MCP, "origin": "https://evil.example"}).status == 403
    assert ask(app, "POST", "/mcp", asked, headers={**MCP, "host": "evil.example"}).status == 421


def test_a_folder_that_cannot_be_read_is_said_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(of: PipelinesFolder) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))  # who runs these tests may read everything

    monkeypatch.setattr(PipelinesFolder, "found", refuse)
    app = served(folder)

    async def test() -> list[Any]:
        said: list[Any] = []

        inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Any:
            return inbox.pop(0)

        async def send(message: Any) -> None:
            said.append(message)

        await app({"type": "lifespan"}, receive, send)
        return said

    first, *_ = asyncio.run(test())
    assert first["type"] == "lifespan.startup.failed"
    assert "Permission denied" in first["message"]


def test_it_needs_no_fastapi() -> None:
    code = (
        "import sys, portico.pipelines.program.tools_app as app\n"
        "sys.exit('fastapi' in sys.modules or 'haystack' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WRAPPER = """
from portico.pipelines.wrapper import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None

    def run_api(self, text: str) -> str:
        return text.upper()
"""


def test_what_an_agent_deploys_is_a_tool_and_its_files_are_kept(folder: Path) -> None:
    app = served(folder)

    def called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        asked = message("tools/call", name=name, arguments=arguments)
        answer = ask(app, "POST", "/mcp", asked, headers={**MCP, **BEARER})
        result: dict[str, Any] = answer.json["result"]
        return result

    files = {"pipeline_wrapper.py": WRAPPER, "data/raw.bin": {"encoding": "base64", "content": "/w=="}}
    assert called("deploy_pipeline", {"name": "loud", "files": files}) == {
        "content": [{"type": "text", "text": "Pipeline 'loud' deployed successfully"}],
        "isError": False,
    }
    assert called("loud", {"text": "why"})["content"][0]["text"] == "WHY"
    assert (folder / "loud" / "pipeline_wrapper.py").read_text() == WRAPPER
    assert (folder / "loud" / "data" / "raw.bin").read_bytes() == b"\xff"
    failed = called("deploy_pipeline", {"name": "loud", "files": {"pipeline_wrapper.py": "1/0"}, "overwrite": True})
    assert failed["isError"] is True
    assert failed["content"][0]["text"] == "Failed to load pipeline module 'loud' - division by zero"
    assert called("loud", {"text": "why"})["content"][0]["text"] == "WHY"
    assert called("undeploy_pipeline", {"pipeline_name": "loud"})["content"][0]["text"] == "Pipeline 'loud' undeployed"
    assert called("loud", {"text": "why"})["isError"] is True
    assert (folder / "loud" / "pipeline_wrapper.py").read_text() == WRAPPER


def test_under_uvicorn(folder: Path) -> None:
    from mcp import Client

    async def test() -> None:
        async with listening(served(folder)) as url, Client(f"{url}/mcp") as client:
            assert "hello" in [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("hello", {"name": "you"})
            assert "Hello you" in result.content[0].text  # type: ignore[union-attr]

    asyncio.run(test())
