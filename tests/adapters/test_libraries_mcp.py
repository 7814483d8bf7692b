"""Servers of the MCP SDK, as their authors make them, taken as apps: clients of both eras, at any host name."""

from __future__ import annotations

from typing import Any

import httpx
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.server import MCPServer
from mcp.server.lowlevel import Server

from portico.adapters.take import take
from portico.adapters.taken import TakeOptions
from tests.tools.served import listening, run

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def high_level() -> Any:
    server = MCPServer("flats", log_level="ERROR")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    return server


def low_level() -> Any:
    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="add", input_schema={"type": "object"})])

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = params.arguments or {}
        return types.CallToolResult(content=[], structured_content={"result": arguments["a"] + arguments["b"]})

    return Server("flats", on_list_tools=list_tools, on_call_tool=call_tool)


@pytest.mark.parametrize("make", [high_level, low_level])
def test_a_server_of_the_sdk_is_served_at_any_host_name(make: Any) -> None:
    async def test() -> None:
        taken = take(make(), TakeOptions())
        assert taken.how.endswith("by .streamable_http_app()")
        async with listening(taken.app) as url:
            async with httpx.AsyncClient() as http:
                message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
                headers = {"accept": "application/json, text/event-stream", "host": "hub.example:8888"}
                own = {**headers, "origin": "https://hub.example:8888"}
                assert (await http.post(f"{url}/mcp", json=message, headers=own)).status_code == 200
            for mode in ("2026-07-28", "legacy"):
                async with Client(f"{url}/mcp", mode=mode) as client:
                    assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
                    result = await client.call_tool("add", {"a": 1, "b": 2})
                    assert result.structured_content == {"result": 3}

    run(test())
