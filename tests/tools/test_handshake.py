"""Clients that shake hands, message by message over HTTP: sessions, streams, cancelling, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from portico.calls.callers import caller_of
from portico.tools import changes, endpoint, sessions
from portico.tools.tool import Tool
from tests.tools.served import STOPPED_WITHIN, Patience, add, as_callers, listening, messages, run, tool_server
from tests.waiting import until

BOTH = "application/json, text/event-stream"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Visitor:
    """A client, one HTTP request at a time."""

    def __init__(self, http: httpx.AsyncClient, url: str, caller: str = "ada") -> None:
        self.http = http
        self.url = url
        self.headers = {"accept": BOTH, "x-test-caller": caller}

    def message(self, method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        return message if id is None else {**message, "id": id}

    async def post(self, method: str, params: Any = None, id: Any = 1, **headers: str) -> httpx.Response:
        message = self.message(method, params, id)
        return await self.http.post(self.url, json=message, headers=self.headers | _names(headers))

    async def shake(self, version: str = "2025-11-25") -> httpx.Response:
        answer = await self.post("initialize", {**HELLO, "protocolVersion": version})
        if answer.status_code == 200:
            self.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
            await self.post("notifications/initialized", id=None)
        return answer

    async def call(self, name: str, arguments: Any = None, id: Any = 1, **meta: Any) -> httpx.Response:
        params = {"name": name, "arguments": arguments or {}}
        return await self.post("tools/call", {**params, "_meta": meta} if meta else params, id)

    def news(self) -> Any:
        return self.http.stream("GET", self.url, headers=self.headers | {"accept": "text/event-stream"})


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def visited(*more: Tool) -> AsyncIterator[tuple[Visitor, Any]]:
    """A visitor, and the server."""
    server = tool_server(*more)
    async with server.running(), listening(as_callers(server)) as url, httpx.AsyncClient(timeout=10) as http:
        yield Visitor(http, f"{url}/mcp"), server


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_hands_are_shaken_in_each_version(version: str) -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            result = (await visitor.shake(version)).json()["result"]
            assert result["protocolVersion"] == version
            assert result["capabilities"]["tools"] == {"listChanged": True}
            assert result["serverInfo"]["name"] == "flats"
            called = (await visitor.call("add", {"a": 1, "b": 2})).json()["result"]
            assert called["content"] == [{"type": "text", "text": "3"}]

    run(test())


def test_a_version_that_is_not_known_is_answered_with_one_that_is() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            assert (await visitor.shake("1999-01-01")).json()["result"]["protocolVersion"] == "2025-11-25"

    run(test())


def test_a_session_of_another_caller_is_none() -> None:
    async def test() -> None:
        async with visited() as (ada, _):
            await ada.shake()
            bob = Visitor(ada.http, ada.url, "bob")
            bob.headers["mcp-session-id"] = ada.headers["mcp-session-id"]
            for answer in (
                await bob.call("add", {"a": 1, "b": 2}),
                await bob.post("notifications/cancelled", {"requestId": 1}, id=None),
                await bob.http.get(bob.url, headers=bob.headers),
                await bob.http.delete(bob.url, headers=bob.headers),
            ):
                assert answer.status_code == 404
                assert "no such session" in answer.json()["error"]["message"]
            assert (await ada.call("add", {"a": 1, "b": 2})).status_code == 200

    run(test())


@pytest.mark.parametrize(("id", "status"), [(None, 400), ("0" * 32, 404), ("\x21" * 5000, 404), ("", 404)])
def test_without_a_session_nothing_is_answered(id: str | None, status: int) -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            if id is not None:
                visitor.headers["mcp-session-id"] = id
            assert (await visitor.call("add", {"a": 1, "b": 2})).status_code == status
            assert (await visitor.post("ping")).status_code == status

    run(test())


def test_a_session_that_was_ended_is_gone_with_all_that_went_on_in_it() -> None:
    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            await visitor.shake()
            async with visitor.news() as stream:
                call = asyncio.create_task(visitor.call("wait", id=7))
                await patience.began.wait()
                answer = await visitor.http.delete(visitor.url, headers=visitor.headers)
                assert answer.status_code == 200
                assert (await call).json()["error"]["code"] == -32800
                await patience.stopped.wait()
                assert messages("".join([text async for text in stream.aiter_text()])) == []
            assert (await visitor.post("ping")).status_code == 404

    run(test())


def test_a_call_that_its_client_cancels_stops_and_is_answered_so() -> None:
    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            await visitor.shake()
            call = asyncio.create_task(visitor.call("wait", id=7))
            await patience.began.wait()
            answer = await visitor.post("notifications/cancelled", {"requestId": 7, "reason": "enough"}, id=None)
            assert answer.status_code == 202
            async with asyncio.timeout(STOPPED_WITHIN):
                await patience.stopped.wait()
            assert (await call).json() == {
                "jsonrpc": "2.0",
                "id": 7,
                "error": {"code": -32800, "message": "The request was cancelled."},
            }

    run(test())


@pytest.mark.parametrize("given", [8, "7", None, [7], {"id": 7}, 7.5])
def test_cancelling_something_else_changes_nothing(given: Any) -> None:
    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            await visitor.shake()
            call = asyncio.create_task(visitor.call("wait", id=7))
            await patience.began.wait()
            assert (await visitor.post("notifications/cancelled", {"requestId": given}, id=None)).status_code == 202
            assert (await visitor.post("ping", id=9)).json() == {"jsonrpc": "2.0", "id": 9, "result": {}}
            assert not patience.stopped.is_set()
            call.cancel()

    run(test())


def test_a_call_whose_client_leaves_stops() -> None:
    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            await visitor.shake()
            call = asyncio.create_task(visitor.call("wait"))
            await patience.began.wait()
            call.cancel()
            async with asyncio.timeout(STOPPED_WITHIN):
                await patience.stopped.wait()

    run(test())


def test_two_requests_of_one_id_cannot_be_answered_at_once() -> None:
    async def test() -> None:
        patience = Patience()
        async with visited(Tool(name="wait", call=patience)) as (visitor, _):
            await visitor.shake()
            call = asyncio.create_task(visitor.call("wait", id="a"))
            await patience.began.wait()
            assert "'a' is being answered" in (await visitor.post("ping", id="a")).json()["error"]["message"]
            assert (await visitor.post("ping", id="b")).status_code == 200
            call.cancel()

    run(test())


def test_progress_comes_before_the_answer_and_only_if_it_was_asked_for() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            await visitor.shake()
            told = messages((await visitor.call("steps", progressToken="t")).text)
            assert [one.get("params") for one in told[:-1]] == [
                {"progressToken": "t", "progress": step, "total": 3, "message": f"step {step}"} for step in (1, 2, 3)
            ]
            assert told[-1]["result"]["content"] == [{"type": "text", "text": "done"}]

    run(test())


def test_a_client_that_takes_no_stream_is_answered_with_json() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            visitor.headers["accept"] = "application/json"
            await visitor.shake()
            answer = await visitor.call("steps", progressToken="t")
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["result"]["content"] == [{"type": "text", "text": "done"}]

    run(test())


def test_those_who_listen_are_told_of_new_tools() -> None:
    async def test() -> None:
        async with visited() as (visitor, server):
            await visitor.shake()
            async with visitor.news() as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()
                assert await anext(lines) == ": ping"
                for _ in range(2):
                    server.replace([Tool(name="sum", call=add)])
                    told = messages(await _data(lines))
                    assert told == [{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}]

    run(test())


async def _data(lines: Any) -> str:
    async for line in lines:
        if line.startswith("data:"):
            return str(line)
    raise AssertionError("the stream ended")


def test_a_client_that_comes_anew_takes_its_stream_over() -> None:
    async def test() -> None:
        async with visited() as (visitor, server):
            await visitor.shake()
            async with visitor.news() as first, visitor.news() as second:
                async for _ in first.aiter_lines():
                    pass  # it ends
                server.replace([])
                await _data(second.aiter_lines())

    run(test())


def test_a_listener_that_does_not_read_holds_up_nobody() -> None:
    async def test() -> None:
        async with visited() as (visitor, server):
            await visitor.shake()
            deaf = Visitor(visitor.http, visitor.url)
            await deaf.shake()
            full = asyncio.Event()

            async def send(message: Any) -> None:
                if b"list_changed" in message.get("body", b""):
                    full.set()
                    await asyncio.Event().wait()

            own = [(name.encode(), value.encode()) for name, value in deaf.headers.items()]
            scope = {"type": "http", "method": "GET", "path": "/mcp", "headers": own, "client": None}
            identity = {"portico": {"access": "key", "id": "ada"}}
            never = asyncio.Event()
            listening = asyncio.create_task(server({**scope, "extensions": identity}, never.wait, send))
            async with visitor.news() as stream:
                lines = stream.aiter_lines()
                await until(lambda: len(server._endpoint._changes) == 2)
                for _ in range(100):
                    server.replace([Tool(name="sum", call=add)])
                    await _data(lines)
                assert full.is_set()
                # its own session goes on, too
                result = (await deaf.call("sum", {"a": 1, "b": 2})).json()["result"]
                assert result["structuredContent"] == {"result": 3}
            listening.cancel()

    run(test())


def test_a_listener_who_has_gone_is_forgotten() -> None:
    async def test() -> None:
        async with visited() as (visitor, server):
            await visitor.shake()
            async with visitor.news():
                pass
            await until(lambda: len(server._endpoint._changes) == 0)

    run(test())


def test_a_caller_may_have_so_many_sessions_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS_OF_CALLER", 1)

    async def test() -> None:
        async with visited() as (ada, _):
            await ada.shake()
            async with ada.news():
                second = await Visitor(ada.http, ada.url).shake()
                assert second.status_code == 429
                assert second.headers["retry-after"] == "60"
                assert "You have too many open sessions" in second.json()["error"]["message"]
                assert (await Visitor(ada.http, ada.url, "bob").shake()).status_code == 200

    run(test())


def test_a_caller_may_listen_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_LISTENERS_OF_CALLER", 1)

    async def test() -> None:
        async with visited() as (ada, _):
            await ada.shake()
            again = Visitor(ada.http, ada.url)
            await again.shake()
            async with ada.news(), again.news() as refused:
                assert refused.status_code == 429

    run(test())


def test_what_calls_no_tool_is_short() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            await visitor.shake()
            answer = await visitor.post("tools/list", {"more": "x" * 100_000})
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, -32600)

    run(test())


def test_what_no_one_has_verified_counts_for_an_address_and_of_ipv6_for_a_network() -> None:
    def caller(address: str) -> str:
        return caller_of({"type": "http", "client": (address, 1), "extensions": {"portico": {"access": "anonymous"}}})

    assert caller("2001:db8:0:1::1") == caller("2001:db8:0:1:ffff::2") != caller("2001:db8:0:2::1")
    assert caller("::ffff:192.0.2.7") == caller("192.0.2.7") != caller("192.0.2.8")


def test_what_is_no_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_BODY", 5000)
    cases: list[tuple[dict[str, str], bytes, int, int]] = [
        ({}, b"{", 400, -32700),
        ({}, b'{"jsonrpc": NaN}', 400, -32700),
        ({}, b"[" * 4000, 400, -32700),
        ({}, b"", 400, -32700),
        ({}, b"7", 400, -32600),
        ({}, b"[]", 400, -32600),
        ({}, b'[{"jsonrpc": "2.0", "method": "ping", "id": 1}]', 400, -32600),
        ({}, b'{"jsonrpc": "2.0", "method": "ping", "id": null}', 400, -32600),
        ({}, b'{"jsonrpc": "2.0", "method": "ping", "id": [1]}', 400, -32600),
        ({}, b'{"jsonrpc": "1.0", "method": "ping", "id": 1}', 400, -32600),
        ({}, b'"' + b"a" * 5000 + b'"', 413, -32600),
        ({"content-type": "text/plain"}, b"{}", 415, -32600),
        ({"content-type": ""}, b"{}", 415, -32600),
        ({"accept": "text/html"}, b"{}", 406, -32600),
    ]

    async def test() -> None:
        async with visited() as (visitor, _):
            for headers, body, status, code in cases:
                own = {**visitor.headers, "content-type": "application/json", **headers}
                answer = await visitor.http.post(visitor.url, content=body, headers=own)
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body[:100]
                assert answer.json()["id"] is None
            put = await visitor.http.put(visitor.url, headers=visitor.headers)
            assert (put.status_code, put.headers["allow"]) == (405, "DELETE, GET, POST")

    run(test())


def test_parameters_that_cannot_be_used_are_named() -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            await visitor.shake()
            for params, where in (({"name": 7}, "name"), ({"name": "add", "arguments": []}, "arguments"), ({}, "name")):
                error = (await visitor.post("tools/call", params)).json()["error"]
                assert error["code"] == -32602
                assert where in error["message"]

    run(test())


@pytest.mark.parametrize("method", ["resources/list", "prompts/get", "logging/setLevel", "nothing", "server/discover"])
def test_methods_that_are_not_served_are_said_to_be_unknown(method: str) -> None:
    async def test() -> None:
        async with visited() as (visitor, _):
            await visitor.shake()
            assert (await visitor.post(method, {"name": "x", "level": "info"})).json()["error"]["code"] == -32601

    run(test())
