"""Clients that shake no hands (2026-07-28), message by message over HTTP: headers, streams, cancelling, statuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from portico.tools import changes
from portico.tools.tool import Tool, ToolResult
from tests.tools.served import STOPPED_WITHIN, Patience, add, as_callers, listening, messages, run, tool_server
from tests.waiting import until

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Visitor:
    """A client, one HTTP request at a time."""

    def __init__(self, http: httpx.AsyncClient, url: str, caller: str = "ada") -> None:
        self.http = http
        self.url = url
        self.caller = caller

    def headers(self, method: str, name: str = "") -> dict[str, str]:
        named = {"mcp-name": name} if name else {}
        told = {"mcp-protocol-version": VERSION, "mcp-method": method, "x-test-caller": self.caller}
        return {"accept": "application/json, text/event-stream", **told, **named}

    def body(self, method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
        meta = {**META, **params.pop("_meta", {})}
        return {"jsonrpc": "2.0", "id": id, "method": method, "params": {**params, "_meta": meta}}

    async def post(self, method: str, id: Any = 1, headers: dict[str, str] | None = None, **params: Any) -> Any:
        own = self.headers(method, params.get("name", "")) | (headers or {})
        return await self.http.post(self.url, json=self.body(method, id, **params), headers=own)

    def stream(self, method: str, id: Any = 1, **params: Any) -> Any:
        own = self.headers(method, params.get("name", ""))
        return self.http.stream("POST", self.url, json=self.body(method, id, **params), headers=own)

    def listen(self, **kinds: Any) -> Any:
        return self.stream("subscriptions/listen", "l", notifications=kinds)


@asynccontextmanager
async def visited(*more: Tool) -> AsyncIterator[tuple[Visitor, Any]]:
    """A visitor, and the server."""
    server = tool_server(*more)
    async with server.running(), listening(as_callers(server)) as url, httpx.AsyncClient(timeout=10) as http:
        yield Visitor(http, f"{url}/mcp"), server


async def next_message(lines: Any) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data:"):
            return messages(line)[0]
    raise AssertionError("the stream ended")


def test_what_is_served_is_discovered() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            result = (await visitor.post("server/discover")).json()["result"]
            assert result["supportedVersions"] == [VERSION]
            assert result["capabilities"] == {"tools": {"listChanged": True}}
            assert result["instructions"] == "Ask for prices."

    run(test())


def test_a_call_is_one_exchange_of_json() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            answer = await visitor.post("tools/call", "x", name="add", arguments={"a": 1, "b": 2})
            assert answer.status_code == 200
            assert "mcp-session-id" not in answer.headers
            told = answer.json()
            assert (told["id"], told["result"]["structuredContent"]) == ("x", {"result": 3})
            assert told["result"]["resultType"] == "complete"

    run(test())


def test_the_caller_is_the_one_whom_the_hub_has_verified() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            answer = await visitor.post("tools/call", headers={"x-own": "1"}, name="who")
            told = answer.json()["result"]["structuredContent"]
            assert told == {"identity": {"access": "key", "id": "ada"}, "own": "1"}

    run(test())


def test_progress_comes_before_the_answer() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            answer = await visitor.post("tools/call", name="steps", _meta={"progressToken": 7})
            assert answer.headers["content-type"].startswith("text/event-stream")
            told = messages(answer.text)
            assert [one["params"]["progress"] for one in told[:-1]] == [1, 2, 3]
            assert {one["params"]["progressToken"] for one in told[:-1]} == {7}
            assert told[-1]["result"]["content"] == [{"type": "text", "text": "done"}]

    run(test())


def test_closing_the_stream_stops_the_call() -> None:
    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            call = asyncio.create_task(visitor.post("tools/call", name="wait"))
            await patience.began.wait()
            call.cancel()
            async with asyncio.timeout(STOPPED_WITHIN):
                await patience.stopped.wait()

    run(test())


def test_a_posted_cancel_stops_nobodys_call() -> None:
    """An id is its client's own choice: any other could send it."""

    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            call = asyncio.create_task(visitor.post("tools/call", 7, name="wait"))
            await patience.began.wait()
            message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
            own = visitor.headers("notifications/cancelled")
            assert (await visitor.http.post(visitor.url, json=message, headers=own)).status_code == 202
            await visitor.post("server/discover")
            assert not patience.stopped.is_set()
            call.cancel()

    run(test())


def test_those_who_listen_are_told_and_their_streams_end_in_order() -> None:
    async def test() -> None:
        async with visited() as (visitor, server):
            async with visitor.listen(toolsListChanged=True) as stream:
                lines = stream.aiter_lines()
                first = await next_message(lines)
                assert first["method"] == "notifications/subscriptions/acknowledged"
                assert first["params"] == {"notifications": {"toolsListChanged": True}, "_meta": {SUBSCRIPTION: "l"}}
                for _ in range(2):
                    server.replace([Tool(name="sum", call=add)])
                    told = await next_message(lines)
                    assert told["method"] == "notifications/tools/list_changed"
                    assert told["params"] == {"_meta": {SUBSCRIPTION: "l"}}
                await server.close()
                last = await next_message(lines)
                assert last["id"] == "l"
                assert last["result"]["_meta"][SUBSCRIPTION] == "l"
            assert (await visitor.post("tools/list")).json()["result"]["tools"][0]["name"] == "sum"  # it begins anew

    run(test())


def test_what_nobody_asked_for_is_not_told() -> None:
    async def test() -> None:
        async with visited() as (visitor, server), visitor.listen(promptsListChanged=True) as stream:
            lines = stream.aiter_lines()
            assert (await next_message(lines))["params"]["notifications"] == {}
            server.replace([])
            await server.close()
            assert "result" in await next_message(lines)

    run(test())


def test_a_listener_who_has_gone_is_forgotten() -> None:
    async def test() -> None:
        async with visited() as (visitor, server):
            async with visitor.listen(toolsListChanged=True) as stream:
                await next_message(stream.aiter_lines())
            await until(lambda: len(server._endpoint._changes) == 0)

    run(test())


def test_a_caller_may_listen_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_LISTENERS_OF_CALLER", 1)

    async def test() -> None:
        async with visited() as (visitor, _), visitor.listen(toolsListChanged=True) as stream:
            await next_message(stream.aiter_lines())
            async with visitor.listen(toolsListChanged=True) as refused:
                assert "You listen 1 times" in (await refused.aread()).decode()
            bob = Visitor(visitor.http, visitor.url, "bob")
            async with bob.listen(toolsListChanged=True) as other:
                await next_message(other.aiter_lines())

    run(test())


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"mcp-method": "tools/list"}, "mcp-method"),
        ({"mcp-name": "other"}, "mcp-name"),
        ({"mcp-protocol-version": "2027-01-01"}, "mcp-protocol-version"),
    ],
)
def test_headers_must_say_what_the_body_says(headers: dict[str, str], message: str) -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            answer = await visitor.post("tools/call", headers=headers, name="add", arguments={"a": 1, "b": 2})
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == -32020
            assert message in answer.json()["error"]["message"]

    run(test())


def test_headers_that_a_schema_asks_for_must_say_what_the_arguments_say() -> None:
    region = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    async def told(arguments: Any, caller: Any) -> ToolResult:
        return ToolResult(content=({"type": "text", "text": arguments["region"]},))

    async def test() -> None:
        async with visited(Tool(name="told", call=told, input_schema=region)) as (visitor, _):
            for headers, status in (
                ({"mcp-param-region": "eu"}, 200),
                ({"mcp-param-region": "us"}, 400),
                ({}, 400),
            ):
                answer = await visitor.post("tools/call", headers=headers, name="told", arguments={"region": "eu"})
                assert answer.status_code == status

    run(test())


def test_what_is_no_request_is_refused() -> None:
    whole = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    other = {**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    cases: list[tuple[dict[str, str], Any, int, int]] = [
        ({}, {**whole, "params": {}}, 400, -32602),
        ({}, {**whole, "params": {"_meta": {}}}, 400, -32602),
        ({}, {**whole, "id": None}, 400, -32600),
        ({}, [whole], 400, -32600),
        ({}, {"jsonrpc": "2.0", "id": 1, "result": {}}, 400, -32600),
        ({"mcp-protocol-version": "2031-01-01"}, {**whole, "params": {"_meta": other}}, 400, -32022),
        ({"mcp-protocol-version": "2031-01-01"}, {"jsonrpc": "2.0", "method": "notifications/x"}, 400, -32022),
        ({"mcp-method": "nothing"}, {**whole, "method": "nothing"}, 404, -32601),
        ({"mcp-method": "ping"}, {**whole, "method": "ping"}, 404, -32601),
        ({"mcp-method": "initialize"}, {**whole, "method": "initialize"}, 404, -32601),
        ({"accept": "application/json"}, whole, 406, -32600),
        ({"content-type": "text/plain"}, whole, 415, -32600),
    ]

    async def test() -> None:
        async with visited() as (visitor, _):
            for headers, body, status, code in cases:
                own = visitor.headers("tools/list") | headers
                answer = await visitor.http.post(visitor.url, json=body, headers=own)
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (headers, body)
            got = await visitor.http.get(visitor.url, headers=visitor.headers("tools/list"))
            assert (got.status_code, got.headers["allow"]) == (405, "POST")
            twice = [*visitor.headers("tools/list").items(), ("mcp-method", "tools/list")]
            answer = await visitor.http.post(visitor.url, json=whole, headers=twice)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)

    run(test())


def test_what_calls_no_tool_is_short_and_so_is_what_is_told_again() -> None:
    """A stream that listens lasts for hours, and its message with it; ids and tokens are told with each note."""

    async def test() -> None:
        async with visited() as (visitor, _):
            long = "x" * 100_000
            refused = [
                (413, await visitor.post("subscriptions/listen", notifications={}, more=long)),
                (413, await visitor.post("subscriptions/listen", id=long, notifications={})),
                (413, await visitor.post("tools/list", more=[1] * 50_000)),
                (400, await visitor.post("tools/call", id=long, name="add", arguments={"a": 1, "b": 2})),
                (400, await visitor.post("tools/call", name="add", arguments={}, _meta={"progressToken": long})),
            ]
            for status, answer in refused:
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, -32600)
                assert len(answer.content) < 1000
            called = await visitor.post("tools/call", id="x" * 1000, name="add", arguments={"a": 1, "b": 2, "c": long})
            assert called.json()["result"]["structuredContent"] == {"result": 3}

    run(test())
