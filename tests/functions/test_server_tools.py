"""The tools of a functions server, as a real client of MCP sees them: at ``mcp``, live, beside the other routes."""

from __future__ import annotations

import httpx
import pytest
from mcp.client import Client

from portico.functions.server import FunctionsServer
from portico.functions.signature import typed_function
from tests.tools.served import listening, run


def predict(area: float, rooms: int = 2) -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    if area < 0:
        raise ValueError("a flat has an area")
    return area * 1000 * rooms


def explain() -> str:
    return "It is so."


@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
def test_functions_are_tools_and_follow_what_is_served(era: str) -> None:
    async def test() -> None:
        shown: list[BaseException] = []
        server = FunctionsServer({"predict": typed_function(predict)}, on_error=shown.append)
        async with listening(server) as url, Client(f"{url}/mcp", mode=era) as client:
            (listed,) = (await client.list_tools()).tools
            assert (listed.name, listed.title, listed.description) == ("predict", "Predict", "Price of a flat.")
            assert (await client.call_tool("predict", {"area": 2})).structured_content == {"result": 4000.0}
            wrong = await client.call_tool("predict", {"area": "x"})
            assert wrong.is_error
            assert "area: " in wrong.content[0].text
            failed = await client.call_tool("predict", {"area": -1})
            assert (failed.is_error, failed.content[0].text) == (True, "ValueError: a flat has an area")
            assert [str(error) for error in shown] == ["a flat has an area"]
            server.replace({"price": typed_function(predict, "price"), "explain": typed_function(explain)})
            assert [tool.name for tool in (await client.list_tools()).tools] == ["price", "explain"]
            assert (await client.call_tool("explain", {})).content[0].text == "It is so."

    run(test())


def test_pages_of_other_sites_read_the_answer_once() -> None:
    async def test() -> None:
        server = FunctionsServer({"predict": typed_function(predict)})
        async with listening(server) as url, httpx.AsyncClient() as http:
            headers = {"origin": "https://other.example", "accept": "application/json, text/event-stream"}
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
            answer = await http.post(f"{url}/mcp", json=message, headers=headers)
            assert answer.headers.get_list("access-control-allow-origin") == ["*"]
            assert "mcp-session-id" in answer.headers["access-control-expose-headers"]

    run(test())


def test_the_names_of_a_mapping_are_those_of_the_tools() -> None:
    async def test() -> None:
        server = FunctionsServer({"one": typed_function(predict), "two": typed_function(predict)})
        async with listening(server) as url, Client(f"{url}/mcp") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["one", "two"]
            assert (await client.call_tool("two", {"area": 1})).structured_content == {"result": 2000.0}

    run(test())
