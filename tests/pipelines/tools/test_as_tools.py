"""Pipelines as tools: what agents are told of each, what they get of its result, and the tools that deploy."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from portico.errors import PipelineExists
from portico.pipelines.components.yaml_pipelines import prepare_yaml
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.pipelines.program.app import PipelinesApp, create_app
from portico.pipelines.settings import PipelinesSettings
from portico.pipelines.streams.sse_stream import SSEStream
from portico.pipelines.tools.as_tools import PipelineTools, pipeline_tool
from portico.pipelines.wrapper import BasePipelineWrapper
from portico.tools.tool import ToolCaller
from tests import environments
from tests.pipelines.haystack_made import branches, question_and_reply
from tests.pipelines.serving import AWAY, BEARER, KEY, ask, wrapped
from tests.tools.served import listening

DOUBLE = branches().dumps() + "inputs:\n  value: [first.value, add.value]\noutputs:\n  sum: add.result\n"
MESSAGE = '{"a": {"_role": "user", "_content": [{"text": "Why?"}], "_name": null, "_meta": {}}}'
CORE = ["get_all_pipeline_statuses", "get_pipeline_status", "undeploy_pipeline", "deploy_pipeline"]
HAS_KEY = {"access": "key", "key_id": "server", "may_deploy": True}
MCP = {"accept": "application/json, text/event-stream"}


class Point(BaseModel):
    x: int = 1


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = None


class Gives(Wrapper):
    """Gives what it is asked for."""

    def run_api(self, what: str, times: int = 1) -> Any:
        """Give something.

        Args:
            what: Which of them.
            times: How often.
        """
        return {
            "dict": {"a": [1, "ü", None], "b": True},
            "list": [1, "a", {"x": 1}],
            "int": 5,
            "none": None,
            "str": "text",
            "model": Point(),
            "bool": True,
            "object": Odd(),
        }[what]


class Odd:
    def __str__(self) -> str:
        return "odd one"


class Fails(Wrapper):
    def run_api(self, how: str) -> str:
        from fastapi import HTTPException

        if how == "http":
            raise HTTPException(418, "teapot")
        if how == "exit":
            raise SystemExit(3)
        raise ValueError("bad thing")


class Streams(Wrapper):
    def run_api(self, how: str) -> Any:
        from haystack.dataclasses import StreamingChunk

        if how == "sse":
            return SSEStream(piece for piece in "ab")
        if how == "nothing":
            return (piece for piece in "")
        return (piece for piece in ["a", StreamingChunk("b"), None, {"c": 1}])


class StreamsAsync(Wrapper):
    async def run_api_async(self, how: str) -> AsyncIterator[str]:
        async def pieces() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        return pieces()


class Talks(Wrapper):
    def run_chat_completion(self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]) -> str:
        return "x"


class Deploys:
    """Deploys wrappers that a test has, by what their file says: what a deploy is, is tested elsewhere."""

    def __init__(self, deployments: Deployments) -> None:
        self.deployments = deployments
        self.asked: list[Mapping[str, Any]] = []

    async def deploy_files(self, name: str, files: Mapping[str, bytes], **more: Any) -> Deployment:
        self.asked.append({"name": name, "files": files, **more})
        if name in self.deployments.present and not more["overwrite"]:
            raise PipelineExists(f"Pipeline '{name}' already exists")
        deployment = wrapped(name, {b"gives": Gives, b"fails": Fails}[files["pipeline_wrapper.py"]]())
        self.deployments.add(deployment, replace=True)
        return deployment

    async def deploy_yaml(self, name: str, text: str, **more: Any) -> Deployment:
        raise AssertionError("no tool deploys YAML")

    async def undeploy(self, name: str) -> object:
        return self.deployments.remove(name)


def served(**wrappers: BasePipelineWrapper) -> tuple[PipelineTools, Deploys]:
    deployments = Deployments()
    for name, wrapper in wrappers.items():
        deployments.add(wrapped(name, wrapper))
    deploying = Deploys(deployments)
    return PipelineTools(deployments, deploying, report=lambda error: None), deploying


def call(tools: PipelineTools, name: str, arguments: dict[str, Any], identity: Any = None) -> Any:
    """What an agent gets, as the client of the SDK gives it."""

    async def called() -> Any:
        tool = tools.tools.get(name)
        assert tool is not None, name
        return await tool.call(arguments, ToolCaller(headers=[], identity=identity))

    return asyncio.run(called())


def text(result: Any) -> str:
    (block,) = result.content
    assert block["type"] == "text"
    return str(block["text"])


# --- what there is ----------------------------------------------------------------------------------------------------


def test_each_pipeline_with_run_api_is_a_tool_and_those_for_chat_or_hidden_are_not() -> None:
    tools, deploying = served(gives=Gives(), talks=Talks(), asyn=StreamsAsync())
    deploying.deployments.add(replace(wrapped("hidden", Gives()), skip_mcp=True))
    assert list(tools.tools) == [*CORE, "gives", "asyn"]
    schema = tools.tools["gives"].input_schema
    assert schema["required"] == ["what"]
    assert schema["properties"]["what"]["description"] == "Which of them."
    assert schema["properties"]["times"]["default"] == 1


def test_a_yaml_pipeline_is_a_tool_and_gives_json() -> None:
    deployments = Deployments()
    deployments.add(prepare_yaml("double", DOUBLE, description="Doubles."))
    deployments.add(prepare_yaml("hidden", DOUBLE, skip_mcp=True))
    deployments.add(prepare_yaml("ask", question_and_reply().dumps() + "inputs:\n  question: prompt.question\n"))
    tools = PipelineTools(deployments)
    assert list(tools.tools) == [*CORE[:2], "double", "ask"]
    assert tools.tools["double"].description == "Doubles."
    assert tools.tools["double"].input_schema["properties"]["value"]["type"] == "integer"
    result = call(tools, "double", {"value": 3})
    assert json.loads(text(result)) == {"add": {"result": 6}, "second": {"value": 12}}
    assert result.structured == {"add": {"result": 6}, "second": {"value": 12}}
    (reply,) = json.loads(text(call(tools, "ask", {"question": "Why?"})))["llm"]["replies"]
    assert reply["_content"] == [{"text": "Q: Why?"}]


def test_the_tools_follow_what_is_deployed() -> None:
    tools, deploying = served(gives=Gives())
    before = tools.tools["gives"]
    deploying.deployments.add(wrapped("fails", Fails()))
    assert list(tools.tools) == [*CORE, "gives", "fails"]
    assert tools.tools["gives"] is before
    deploying.deployments.remove("gives")
    assert list(tools.tools) == [*CORE, "fails"]


def test_a_pipeline_cannot_take_the_place_of_a_tool_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tools, _ = served(undeploy_pipeline=Gives())
    assert list(tools.tools) == CORE
    assert "there is a tool 'undeploy_pipeline' already" in caplog.text


def test_a_name_that_no_tool_may_have_is_made_one() -> None:
    for name, of_tool in (("chat.v2", "chat.v2"), ("grüß dich", "gruss_dich"), ("a b", "a_b"), ("x" * 200, "x" * 64)):
        tool = pipeline_tool(wrapped_as(name))
        assert tool is not None
        assert tool.name == of_tool


def wrapped_as(name: str) -> Deployment:
    return replace(wrapped("plain", Gives()), name=name)


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("list", "[1, 'a', {'x': 1}]"),
        ("int", "5"),
        ("none", "None"),
        ("str", "text"),
        ("model", "x=1"),
        ("bool", "True"),
        ("object", "odd one"),
    ],
)
def test_what_is_no_dict_is_told_as_its_str(what: str, told: str) -> None:
    tools, _ = served(gives=Gives())
    result = call(tools, "gives", {"what": what})
    assert not result.is_error
    assert text(result) == told


def test_a_dict_is_told_as_json() -> None:
    tools, _ = served(gives=Gives())
    result = call(tools, "gives", {"what": "dict"})
    assert json.loads(text(result)) == {"a": [1, "ü", None], "b": True}
    assert result.structured == {"a": [1, "ü", None], "b": True}


@pytest.mark.parametrize(("how", "told"), [("chunks", 'ab{"c": 1}'), ("sse", "ab"), ("nothing", "")])
def test_a_stream_is_told_as_its_text(how: str, told: str) -> None:
    tools, _ = served(streams=Streams())
    result = call(tools, "streams", {"how": how})
    assert not result.is_error
    assert text(result) == told


def test_an_async_stream_is_told_as_its_text() -> None:
    tools, _ = served(streams=StreamsAsync())
    result = call(tools, "streams", {"how": "x"})
    assert (text(result), result.structured) == ("ab", {"result": "ab"})


def _pieces() -> Any:
    from haystack.dataclasses import StreamingChunk

    return (piece for piece in ["a", StreamingChunk("b"), {"c": 1}])


def _message() -> Any:
    from haystack.dataclasses import ChatMessage

    return ChatMessage.from_user("Why?")


@pytest.mark.parametrize(
    ("annotation", "give", "told"),
    [
        (Generator, _pieces, 'ab{"c": 1}'),
        (Generator[str, None, None], _pieces, 'ab{"c": 1}'),
        (str | Generator, _pieces, 'ab{"c": 1}'),
        (str | Generator, lambda: "whole", "whole"),
        (Iterator[Any], _pieces, 'ab{"c": 1}'),
        (SSEStream, lambda: SSEStream(_pieces()), 'ab{"c": 1}'),
        (Any, _pieces, 'ab{"c": 1}'),
        (str, _pieces, 'ab{"c": 1}'),
        (str | None, lambda: None, "None"),
        (None, lambda: None, "None"),
        (list[int], lambda: [1, 2], "[1, 2]"),
        (tuple[int, str], lambda: (1, "a"), "(1, 'a')"),
        (Point, Point, "x=1"),
        (dict, lambda: {"a": Point()}, '{"a": {"x": 1}}'),
        (
            dict,
            lambda: {"a": _message()},
            '{"a": {"_role": "user", "_content": [{"text": "Why?"}], "_name": null, "_meta": {}}}',
        ),
    ],
)
def test_results_of_any_annotation(annotation: Any, give: Any, told: str) -> None:
    class Annotated(Wrapper):
        def run_api(self):  # type: ignore[no-untyped-def]
            return give()

    Annotated.run_api.__annotations__["return"] = annotation
    tools, _ = served(annotated=Annotated())
    tool = tools.tools["annotated"]
    result = call(tools, "annotated", {})
    assert (result.is_error, text(result)) == (False, told)
    if tool.output_schema is not None:  # a client refuses a result that is not as the tool says
        jsonschema.Draft202012Validator(tool.output_schema).validate(result.structured)


def test_a_picture_is_a_picture() -> None:
    class Draws(Wrapper):
        def run_api(self) -> bytes:
            return b"\x89PNG\r\n\x1a\n"

    tools, _ = served(draws=Draws())
    (block,) = call(tools, "draws", {}).content
    assert (block["type"], block["mimeType"]) == ("image", "image/png")


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("fails", {"how": "x"}, "bad thing"),
        ("fails", {"how": "http"}, "teapot"),
        ("fails", {"how": "exit"}, "SystemExit"),
        ("fails", {}, "how: Field required"),
        ("gives", {"what": "int", "times": "x"}, "times: Input should be a valid integer"),
        ("gives", {"what": "nothing"}, "KeyError"),
    ],
)
def test_what_goes_wrong_is_a_result_that_says_so(name: str, arguments: dict[str, Any], told: str) -> None:
    tools, _ = served(fails=Fails(), gives=Gives())
    result = call(tools, name, arguments)
    assert result.is_error
    assert told in text(result)
    assert "Traceback" not in text(result)


def test_a_stream_where_something_else_was_promised_is_a_failure() -> None:
    class Promises(Wrapper):
        def run_api(self) -> dict[str, int]:
            return (piece for piece in "ab")  # type: ignore[return-value]

    tools, _ = served(promises=Promises())
    assert call(tools, "promises", {}).is_error


def test_a_stream_without_end_is_ended() -> None:
    class Endless(Wrapper):
        def run_api(self) -> Any:
            while True:
                yield "x" * 1_000_000

    tools, _ = served(endless=Endless())
    result = call(tools, "endless", {})
    assert result.is_error
    assert "more than 10,000,000 characters" in text(result)


# --- the server's own tools -------------------------------------------------------------------------------------------


def test_the_status_of_all_and_of_one() -> None:
    tools, _ = served(gives=Gives(), talks=Talks())
    assert text(call(tools, "get_all_pipeline_statuses", {})) == "Available pipelines:\ngives\ntalks"
    assert text(call(tools, "get_pipeline_status", {"pipeline_name": "talks"})) == "Pipeline 'talks' is deployed: True"
    missing = call(tools, "get_pipeline_status", {"pipeline_name": "nope"})
    assert (text(missing), missing.is_error) == ("Pipeline 'nope' is deployed: False", False)
    for wrong in ({}, {"pipeline_name": 5}):
        assert call(tools, "get_pipeline_status", wrong).is_error
    assert text(call(served()[0], "get_all_pipeline_statuses", {})) == "Available pipelines:"


def test_with_the_key_pipelines_are_deployed_and_undeployed() -> None:
    tools, deploying = served()
    given = {"name": "new", "files": {"pipeline_wrapper.py": "gives", "raw": {"encoding": "base64", "content": "/w=="}}}
    result = call(tools, "deploy_pipeline", given, HAS_KEY)
    assert (text(result), result.is_error) == ("Pipeline 'new' deployed successfully", False)
    assert deploying.asked[-1] == {
        "name": "new",
        "files": {"pipeline_wrapper.py": b"gives", "raw": b"\xff"},
        "overwrite": False,
        "save": True,
        "settings": {},
    }
    assert text(call(tools, "new", {"what": "int"})) == "5"
    again = call(tools, "deploy_pipeline", given, HAS_KEY)
    assert (text(again), again.is_error) == ("Pipeline 'new' already exists", True)
    over = {**given, "overwrite": True, "save_files": False, "settings": {"a": 1}}
    assert not call(tools, "deploy_pipeline", over, HAS_KEY).is_error
    assert (deploying.asked[-1]["save"], deploying.asked[-1]["settings"]) == (False, {"a": 1})
    gone = call(tools, "undeploy_pipeline", {"pipeline_name": "new"}, HAS_KEY)
    assert (text(gone), gone.is_error) == ("Pipeline 'new' undeployed", False)
    again = call(tools, "undeploy_pipeline", {"pipeline_name": "new"}, HAS_KEY)
    assert (text(again), again.is_error) == ("Pipeline 'new' not found", True)


@pytest.mark.parametrize("identity", [None, {}, {"access": "key"}, {"access": "user", "may_deploy": "yes"}])
def test_without_the_key_nothing_is_deployed_and_nothing_undeployed(identity: Any) -> None:
    tools, deploying = served(gives=Gives())
    files = {"pipeline_wrapper.py": "gives"}
    for name, arguments in (
        ("deploy_pipeline", {"name": "new", "files": files}),
        ("deploy_pipeline", {"name": "gives", "files": files, "overwrite": True}),
        ("undeploy_pipeline", {"pipeline_name": "gives"}),
    ):
        result = call(tools, name, arguments, identity)
        assert result.is_error
        assert "needs the server's key" in text(result)
    assert deploying.asked == []
    assert list(deploying.deployments.present) == ["gives"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": "n"}, "files: Field required"),
        ({"files": {"pipeline_wrapper.py": "x"}}, "name: Field required"),
        ({"name": "n", "files": {"other.py": "x"}}, "Missing required file: pipeline_wrapper.py"),
        (
            {"name": "n", "files": [{"name": "pipeline_wrapper.py", "content": "x"}]},
            "files: Input should be",
        ),
    ],
)
def test_what_cannot_be_deployed_is_told_by_its_field(arguments: dict[str, Any], told: str) -> None:
    tools, _ = served()
    result = call(tools, "deploy_pipeline", arguments, HAS_KEY)
    assert result.is_error
    assert told in text(result)


def test_what_an_agent_is_told_of_deploying_is_what_is_read() -> None:
    from portico.pipelines.server.deploy_requests import PipelineFilesRequest

    told = served()[0].tools["deploy_pipeline"].input_schema
    read = PipelineFilesRequest.model_json_schema()
    assert told["required"] == read["required"]
    assert list(told["properties"]) == list(read["properties"])
    for name, one in told["properties"].items():
        assert one["description"] == read["properties"][name]["description"] or name in ("name", "files"), name
        assert one.get("default") == read["properties"][name].get("default"), name


# --- as it is served --------------------------------------------------------------------------------------------------


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params else {})}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PipelinesApp]:
    app = create_app(PipelinesSettings(pipelines_dir=str(tmp_path), api_key=KEY))
    app.pipelines.deployments.add(wrapped("gives", Gives()))
    yield app
    asyncio.run(app.pipelines.close())


def test_it_is_stateless(server: PipelinesApp) -> None:
    """No hands are shaken, no session is named, and none is given."""
    asked = message("tools/call", name="gives", arguments={"what": "int"})
    for more in ({}, {"mcp-session-id": "of another process"}, {"mcp-protocol-version": "2025-06-18"}):
        for path in ("/mcp", "/mcp/"):
            answer = ask(server, "POST", path, asked, headers={**MCP, **more})
            assert answer.status == 200
            assert answer.json["result"]["content"] == [{"type": "text", "text": "5"}]
            assert "mcp-session-id" not in answer.headers
    who = {"name": "x", "version": "1"}
    hello = message("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=who)
    answer = ask(server, "POST", "/mcp", hello, headers=MCP)
    assert answer.json["result"]["protocolVersion"] == "2025-06-18"
    assert "mcp-session-id" not in answer.headers
    told = ask(server, "POST", "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=MCP)
    assert told.status == 202
    assert ask(server, "DELETE", "/mcp", headers=MCP).status == 405


def test_a_tool_that_is_not_there_is_a_failed_result(server: PipelinesApp) -> None:
    answer = ask(server, "POST", "/mcp", message("tools/call", name="nope", arguments={}), headers=MCP)
    result = answer.json["result"]
    assert result["isError"] is True
    assert "Pipeline 'nope' not found" in result["content"][0]["text"]


def test_the_gate_decides_who_deploys(server: PipelinesApp) -> None:
    undeploy = message("tools/call", name="undeploy_pipeline", arguments={"pipeline_name": "gives"})
    answer = ask(server, "POST", "/mcp", undeploy, headers=MCP)
    assert answer.json["result"]["isError"] is True
    assert "gives" in server.pipelines.deployments.present
    listed = message("tools/list")
    assert ask(server, "POST", "/mcp", listed, headers=MCP, **AWAY).status == 401
    assert ask(server, "POST", "/mcp", listed, headers={**MCP, "origin": "https://evil.example"}).status == 403
    answer = ask(server, "POST", "/mcp", undeploy, headers={**MCP, **BEARER}, **AWAY)
    assert answer.json["result"]["content"][0]["text"] == "Pipeline 'gives' undeployed"


def test_health_says_whether_tools_can_be_listed(server: PipelinesApp, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(server, "GET", "/mcp/health")
    assert (answer.status, answer.json) == (200, {"status": "ok", "tools": 5, "pipelines": 1})
    assert ask(server, "POST", "/mcp/health", {}).status == 405
    asyncio.run(server.pipelines.close())
    import portico.tools.server

    def broken(name: str) -> Any:
        raise ImportError("no module named mcp")

    monkeypatch.setattr(portico.tools.server.importlib, "import_module", broken)
    answer = ask(server, "GET", "/mcp/health")
    assert (answer.status, answer.json["status"]) == (503, "unavailable")
    assert "no module named mcp" in answer.json["detail"]


@pytest.fixture(scope="module")
def old_python() -> Path:
    return environments.python("mcp-old", environments.ROOT / "tests/tools/old_client/requirements.txt")


def with_old_client(python: Path, url: str, key: str, *calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    program = environments.ROOT / "tests/tools/old_client/calls.py"
    command = [str(python), str(program), url, key, json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_client_of_mcp_1_finds_and_calls_all(server: PipelinesApp, old_python: Path) -> None:
    server.pipelines.deployments.add(prepare_yaml("double", DOUBLE))

    async def test() -> dict[str, Any]:
        async with listening(server) as url:
            return await asyncio.to_thread(
                with_old_client,
                old_python,
                f"{url}/mcp",
                KEY,
                ("gives", {"what": "list"}),
                ("double", {"value": 3}),
                ("nope", {}),
                ("get_pipeline_status", {"pipeline_name": "double"}),
                ("undeploy_pipeline", {"pipeline_name": "double"}),
            )

    told = asyncio.run(test())
    assert told["session"] is None
    assert list(told["before"]) == [*CORE, "gives", "double"]
    given, double, nope, status, undeployed = told["results"]
    assert (given["content"][0]["text"], given["isError"]) == ("[1, 'a', {'x': 1}]", False)
    assert json.loads(double["content"][0]["text"])["add"] == {"result": 6}
    assert nope["isError"] is True
    assert status["content"][0]["text"] == "Pipeline 'double' is deployed: True"
    assert undeployed["content"][0]["text"] == "Pipeline 'double' undeployed"
    assert told["after"] == [*CORE, "gives"]


def test_the_newest_client_finds_and_calls_all(server: PipelinesApp) -> None:
    from mcp import Client

    async def test() -> None:
        async with listening(server) as url, Client(f"{url}/mcp") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == [*CORE, "gives"]
            result = await client.call_tool("gives", {"what": "dict"})
            assert json.loads(result.content[0].text) == {"a": [1, "ü", None], "b": True}  # type: ignore[union-attr]
            assert (await client.call_tool("undeploy_pipeline", {"pipeline_name": "gives"})).is_error

    asyncio.run(test())
