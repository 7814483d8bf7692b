"""A tool server as real clients of this SDK see it, of either era."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared import _otel
from mcp.shared.exceptions import MCPError
from opentelemetry import trace

from portico.tools.server import ToolServer
from portico.tools.tool import Tool, ToolResult
from tests.tools.served import STOPPED_WITHIN, TOOLS, Patience, add, listening, run, tool_server

MODERN, HANDSHAKE = "2026-07-28", "legacy"
ERAS = (MODERN, HANDSHAKE)

pytestmark = pytest.mark.parametrize("era", ERAS)


@asynccontextmanager
async def connected(server: ToolServer, era: str, **options: Any) -> AsyncIterator[Client]:
    async with listening(server) as url, Client(f"{url}/mcp", mode=era, **options) as client:
        yield client


def test_tools_are_listed_as_they_were_made(era: str) -> None:
    async def test() -> None:
        async with connected(tool_server(), era) as client:
            listed = (await client.list_tools()).tools
            assert [tool.name for tool in listed] == [tool.name for tool in TOOLS]
            assert (listed[0].title, listed[0].description) == ("Sum", "Add two.")
            assert listed[0].input_schema == TOOLS[0].input_schema
            assert listed[0].output_schema == TOOLS[0].output_schema
            if era == HANDSHAKE:
                assert client.server_info.name == "flats"
                assert client.instructions == "Ask for prices."

    run(test())


def test_a_call_gives_content_and_structure(era: str) -> None:
    async def test() -> None:
        async with connected(tool_server(), era) as client:
            result = await client.call_tool("add", {"a": 1, "b": 2})
            assert (result.is_error, result.structured_content) == (False, {"result": 3})
            assert [block.text for block in result.content] == ["3"]

    run(test())


def test_a_failure_is_a_result(era: str) -> None:
    async def test() -> None:
        async with connected(tool_server(), era) as client:
            result = await client.call_tool("fail", {})
            assert result.is_error
            assert [block.text for block in result.content] == ["ValueError: too few rooms"]

    run(test())


def test_an_unknown_tool_is_an_error_of_the_protocol(era: str) -> None:
    async def test() -> None:
        async with connected(tool_server(), era) as client:
            with pytest.raises(MCPError, match="Unknown tool: nothing") as caught:
                await client.call_tool("nothing", {})
            assert caught.value.code == -32602

    run(test())


def test_what_a_tool_raises_goes_to_its_author_alone(era: str) -> None:
    async def test() -> None:
        shown: list[BaseException] = []
        server = ToolServer(TOOLS, name="flats", on_error=shown.append)
        async with connected(server, era) as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("broken", {})
            assert "secret" not in str(caught.value)
            assert [str(error) for error in shown] == ["a secret of ours"]

    run(test())


@pytest.mark.parametrize("value", [object(), {1, object()}, b"\xff"])
def test_a_result_that_no_json_holds_is_an_error(era: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Of a tool that makes its results itself: those of functions are looked at before."""

    async def odd(arguments: Any, caller: Any) -> ToolResult:
        return ToolResult(content=(), structured={"result": value})

    async def test() -> None:
        async with connected(tool_server(Tool(name="odd", call=odd)), era) as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("odd", {})
            assert caught.value.code == -32603
            assert caplog.records  # for its author

    run(test())


def test_progress_is_passed_on(era: str) -> None:
    async def test() -> None:
        told: list[tuple[float, float | None, str | None]] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total, message))

        async with connected(tool_server(), era) as client:
            await client.call_tool("steps", {}, progress_callback=on_progress)
            assert told == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]

    run(test())


def test_a_client_that_gives_up_stops_the_call(era: str) -> None:
    async def test() -> None:
        patience = Patience()
        async with connected(tool_server(Tool(name="wait", call=patience)), era) as client:
            call = asyncio.create_task(client.call_tool("wait", {}))
            await patience.began.wait()
            call.cancel()
            async with asyncio.timeout(STOPPED_WITHIN):
                await patience.stopped.wait()
            assert (await client.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}

    run(test())


def test_new_tools_take_the_place_of_the_old_ones(era: str) -> None:
    async def test() -> None:
        server = tool_server()
        async with connected(server, era) as client:
            server.replace([Tool(name="sum", call=add)])
            assert [tool.name for tool in (await client.list_tools()).tools] == ["sum"]
            assert (await client.call_tool("sum", {"a": 1, "b": 2})).structured_content == {"result": 3}

    run(test())


class Recorder:
    """A tracer that keeps the names of its spans: the part of OpenTelemetry's SDK that a server needs."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def get_tracer(self, *given: Any, **more: Any) -> Any:
        return self

    @contextmanager
    def start_as_current_span(self, name: str, **more: Any) -> Iterator[Any]:
        self.names.append(name)
        yield trace.INVALID_SPAN


def test_calls_are_traced_where_traces_are_gathered(era: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        recorder = Recorder()
        async with connected(tool_server(), era) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
            monkeypatch.setattr(_otel, "_tracer", recorder)
            await client.call_tool("add", {"a": 1, "b": 2})
            assert [name for name in recorder.names if not name.startswith("MCP send")] == []
            monkeypatch.setattr(trace, "get_tracer_provider", lambda: recorder)
            await client.call_tool("add", {"a": 1, "b": 2})
            assert "tools/call add" in recorder.names

    run(test())
