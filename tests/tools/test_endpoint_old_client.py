"""The last client of MCP that shakes hands, mcp 1.30, in an environment of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from portico.functions.as_tools import tool_of
from portico.functions.signature import typed_function
from portico.tools.server import ToolServer
from portico.tools.tool import Tool, ToolCaller, ToolResult
from tests import environments
from tests.tools.served import TOOLS, Patience, add, listening, run

HERE = Path(__file__).with_name("old_client")


@pytest.fixture(scope="module")
def old_python() -> Path:
    return environments.python("mcp-old", HERE / "requirements.txt")


def text(value: str) -> ToolResult:
    return ToolResult(content=({"type": "text", "text": value},))


class Served:
    """A server with tools by which a client can change it, and wait."""

    def __init__(self) -> None:
        self.patience = Patience()
        more = [
            Tool(name="change", call=self.change),
            Tool(name="wait", call=self.patience),
            Tool(name="began", call=self.began),
            Tool(name="stopped", call=self.stopped),
            Tool(name="blocks", call=self.blocks),
        ]
        self.server = ToolServer((*TOOLS, *more), name="flats", instructions="Ask for prices.")

    async def change(self, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        self.server.replace([Tool(name="sum", call=add)])
        return text("")

    async def began(self, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        await self.patience.began.wait()
        return text("")

    async def stopped(self, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        async with asyncio.timeout(1):
            await self.patience.stopped.wait()
        return text("stopped")

    async def blocks(self, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        def everything() -> tuple[bytes, bytes, str]:
            return b"\x89PNG\r\n\x1a\n", b"abc", "text"

        return await tool_of(typed_function(everything)).call({}, caller)


async def asked(python: Path, url: str, *steps: str) -> dict[str, Any]:
    """What the client was given in each step."""
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(HERE / "program.py"),
        url,
        *steps,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3000:]
    given = json.loads(printed)
    assert isinstance(given, dict)
    return given


def test_an_old_client_lists_calls_and_hears_of_changes(old_python: Path) -> None:
    async def test() -> None:
        served = Served()
        async with served.server.running(), listening(served.server) as url:
            given = await asked(old_python, f"{url}/mcp", "tools", "call", "progress", "change")
            assert (given["version"], given["told"], given["instructions"]) == ("2025-11-25", True, "Ask for prices.")
            assert given["tools"][0]["name"] == "add"
            assert given["tools"][0]["outputSchema"]["required"] == ["result"]
            assert given["call"]["structuredContent"] == {"result": 3}
            assert given["progress"] == [[1, 3, "step 1"], [2, 3, "step 2"], [3, 3, "step 3"]]
            assert given["change"] == ["sum"]
            assert len(served.server._endpoint._handshake.sessions) == 0  # it says that it goes

    run(test())


@pytest.mark.real
def test_an_old_client_is_told_of_failures(old_python: Path) -> None:
    async def test() -> None:
        served = Served()
        async with listening(served.server) as url:
            given = await asked(old_python, f"{url}/mcp/", "failure", "unknown", "ping", "blocks")
            assert given["failure"]["isError"] is True
            assert given["failure"]["content"][0]["text"] == "ValueError: too few rooms"
            assert given["unknown"] == {"code": -32602, "message": "Unknown tool: nothing"}
            assert given["ping"] == {}
            kinds = [(block["type"], block.get("mimeType")) for block in given["blocks"]]
            assert kinds == [("image", "image/png"), ("resource", None), ("text", None)]

    run(test())


@pytest.mark.real
def test_an_old_client_cancels(old_python: Path) -> None:
    async def test() -> None:
        served = Served()
        async with listening(served.server) as url:
            assert (await asked(old_python, f"{url}/mcp", "cancel"))["cancel"] == "stopped"

    run(test())


@pytest.mark.real
def test_what_an_old_client_gave_up_ends_with_it(old_python: Path) -> None:
    """It only stops to wait, and says nothing: the call goes on until it leaves."""

    async def test() -> None:
        served = Served()
        async with listening(served.server) as url:
            given = await asked(old_python, f"{url}/mcp", "timeout", "call")
            assert "Timed out" in given["timeout"]
            assert given["call"]["structuredContent"] == {"result": 3}
            async with asyncio.timeout(1):
                await served.patience.stopped.wait()

    run(test())
