"""A tool server as a part of an app: when the SDK is imported, what happens without it, and where it may be mounted."""

from __future__ import annotations

import asyncio
import importlib
import logging
import subprocess
import sys
from typing import Any

import httpx
import pytest
from mcp.client import Client
from starlette.applications import Starlette
from starlette.routing import Mount

from portico.packages import to_install
from portico.tools import server as module
from portico.tools.server import MISSING, ToolServer
from portico.tools.tool import Tool
from tests.tools.served import TOOLS, Patience, listening, run, tool_server
from tests.tools.test_modern import META, VERSION

ASK = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": "tools/list",
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}


def test_nothing_of_the_sdk_is_imported_before_a_client_comes() -> None:
    code = (
        "import sys; from portico.tools.server import ToolServer; ToolServer([], name='x').remarks;"
        "print([name for name in ('mcp', 'mcp_types', 'pydantic', 'starlette') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_loop_goes_on_while_the_sdk_is_imported() -> None:
    """In a process of its own, where nobody has imported it yet."""
    code = """
import asyncio, sys, time
from portico.tools.server import ToolServer

async def main():
    turns = 0
    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1
    turning = asyncio.create_task(turn())
    started = asyncio.Event()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept", b"text/event-stream")]}
    async def send(message):
        if message["type"] == "http.response.start":
            assert message["status"] == 400
    server = ToolServer([], name="x")
    assert "mcp" not in sys.modules
    await server(scope, asyncio.Event().wait, send)
    assert "mcp" in sys.modules
    print(turns)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > 10


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'rpds'"), TypeError("wrong version")])
def test_where_the_sdk_fails_its_author_is_told_and_clients_are_too(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = importlib.import_module

    def fail(name: str, *more: Any) -> Any:
        if name == "portico.tools.endpoint":
            raise error
        return whole(name, *more)

    monkeypatch.delitem(sys.modules, "portico.tools.endpoint", raising=False)
    monkeypatch.setattr(module.importlib, "import_module", fail)

    async def test() -> None:
        shown: list[BaseException] = []
        server = ToolServer(TOOLS, name="flats", on_error=shown.append)
        async with server.running(), listening(server) as url, httpx.AsyncClient() as http:
            answer = await http.post(url, json=LIST, headers=ASK)
            assert answer.status_code == 501
            assert "There are no tools here" in answer.json()["error"]["message"]
            assert shown == [error]
            monkeypatch.undo()  # once it is installed, the tools are there
            assert (await http.post(url, json=LIST, headers=ASK)).status_code == 200

    run(test())


def test_where_there_is_no_sdk_its_author_reads_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tool_server().remarks == []
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert tool_server().remarks == [MISSING.format(command=to_install("functions"))]


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/deep/below/mcp", "/deep/below/mcp/"])
def test_it_is_found_with_and_without_a_slash_below_any_path_and_never_redirects(path: str) -> None:
    async def test() -> None:
        server = tool_server()

        async def routed(scope: Any, receive: Any, send: Any) -> None:
            await (server if scope["type"] == "lifespan" or "mcp" in scope["path"] else outer)(scope, receive, send)

        outer = Starlette(routes=[Mount("/deep/below", app=routed)])
        async with listening(routed) as url:
            async with httpx.AsyncClient() as http:
                answer = await http.post(url + path, json=LIST, headers=ASK)
                assert answer.status_code == 200
            async with Client(url + path) as client:
                assert len((await client.list_tools()).tools) == len(TOOLS)

    run(test())


def test_the_lifespan_ends_what_goes_on() -> None:
    async def test() -> None:
        patience = Patience()
        server = tool_server(Tool(name="wait", call=patience))
        async with httpx.AsyncClient() as http:
            async with listening(server) as url:
                body = {**LIST, "method": "tools/call", "params": {"name": "wait", "_meta": META}}
                own = {**ASK, "mcp-method": "tools/call", "mcp-name": "wait"}
                call = asyncio.create_task(http.post(url, json=body, headers=own))
                await patience.began.wait()
                await server.close()
                assert (await call).json()["error"]["message"] == "The server closes."
            assert patience.stopped.is_set()

    run(test())


def test_pages_of_origins_that_may_call_read_the_sessions_id() -> None:
    async def test() -> None:
        server = ToolServer(TOOLS, name="flats", allow_origins=["https://good.example"])
        async with listening(server) as url, httpx.AsyncClient() as http:
            asked = {"access-control-request-method": "POST", "access-control-request-headers": "mcp-method"}
            good = await http.options(url, headers={"origin": "https://good.example", **asked})
            assert good.status_code == 204
            assert good.headers["access-control-allow-origin"] == "https://good.example"
            assert good.headers["access-control-allow-headers"] == "mcp-method"
            answer = await http.post(url, json=LIST, headers={**ASK, "origin": "https://good.example"})
            assert "mcp-session-id" in answer.headers["access-control-expose-headers"]
            bad = await http.options(url, headers={"origin": "https://bad.example", **asked})
            assert "access-control-allow-origin" not in bad.headers

    run(test())


def test_there_is_no_websocket() -> None:
    async def test() -> None:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await tool_server()({"type": "websocket", "path": "/mcp"}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]

    run(test())


def test_the_log_tells_of_nothing_that_strangers_do(caplog: pytest.LogCaptureFixture) -> None:
    """At the level that people see: warnings."""

    async def test() -> None:
        async with listening(tool_server()) as url, httpx.AsyncClient() as http:
            for body in ({"method": "x"}, [], {**LIST, "method": "nothing"}, {**LIST, "params": {"cursor": 7}}):
                for headers in ({}, ASK, {"mcp-session-id": "no"}, {"mcp-protocol-version": "x"}):
                    await http.post(url, json=body, headers=headers)
            for mode in (VERSION, "legacy"):
                async with Client(url, mode=mode) as client:
                    await client.list_tools()
                    await client.call_tool("add", {"a": 1, "b": 1})

    with caplog.at_level(logging.WARNING):
        run(test())
    ours = [record for record in caplog.records if not record.name.startswith(("mcp.client", "httpx", "client"))]
    assert ours == []
