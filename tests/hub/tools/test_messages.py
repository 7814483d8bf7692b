"""JSON-RPC, read strictly: any bytes give messages or an error that says what is wrong, and nothing else."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest

from portico.hub.tools import messages
from portico.hub.tools.exchange import MOST_OF_A_REQUEST
from portico.hub.tools.messages import MalformedMessage, MessageError, dumps, loads, read
from tests.hub.tools.agents import META, MODERN, OLD, OWNER, Agent, a_toolbox, ask, begin
from tests.waiting import until


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"nul", b"\xff", b"\xef\xbb\xbf{}", b"[NaN]", b"[Infinity]", b"1 2", b"1" * 5000),
        b"[" * 100_000,
        "{}".encode("utf-16"),
    ],
    ids=lambda data: repr(data[:10]),
)
def test_what_is_no_json_is_told(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        loads(data)


def test_more_values_than_anybody_means_are_not_read() -> None:
    began = time.process_time()
    for data in (b"[" + b"{}," * 1_000_000 + b"1]", b"[" + b"1," * 1_000_000 + b"1]"):
        with pytest.raises(MalformedMessage):
            loads(data)
    assert time.process_time() - began < 0.2
    assert loads(b'"' + b"x" * 10_000_000 + b'"'), "one long text is one value"


def test_a_number_that_cannot_be_written_is_told() -> None:
    with pytest.raises(MalformedMessage):
        dumps({"a": loads(b"1e999")})


def test_what_is_read_is_what_is_passed_on_though_others_read_it_otherwise() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            await box.serve("private", "run", access="key")
            body = (
                b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"private__run"},'
                b'"params":{"name":"nobody__run","name":"cats__run","arguments":{"a":1,"a":2}}}'
            )
            reading = await ask(hub, body, headers=Agent(hub, version=OLD).headers())
            assert "result" in reading.json()
            assert box.calls[0].params["name"] == "run"
            assert box.calls[0].params["arguments"] == {"a": 2}
            assert box.calls[0].path.endswith("/cats/mcp")

    asyncio.run(inside())


@pytest.mark.parametrize("version", [MODERN, OLD])
def test_a_request_is_bounded_and_told_so(version: str) -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            agent = Agent(hub, version=version)
            message = agent.message(
                "tools/call", {"name": "cats__run", "arguments": {"x": "y" * (MOST_OF_A_REQUEST - 2000)}}
            )
            assert "result" in (await agent.send(message)).json()
            message["params"]["arguments"]["x"] += "y" * 3000
            reading = await begin(hub, json.dumps(message).encode(), headers=agent.headers(message), piece=65536)
            await until(lambda: reading.done)
            assert reading.status == 413
            assert hub.workspace.tools.limits.held.total == 0

    asyncio.run(inside())


def test_what_is_held_counts_for_the_caller() -> None:
    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run", access="public")
            held = hub.workspace.tools.limits.held
            held.in_all, held.of_a_caller = 4 << 20, 1 << 20
            agent = Agent(hub)
            message = agent.message("tools/call", {"name": "cats__run", "arguments": {"x": "y" * (2 << 20)}})
            reading = await agent.send(message)
            assert (reading.status, reading.json()["error"]["data"]["code"]) == (429, "too_much_held")
            assert "send less at a time" in reading.json()["error"]["message"]
            assert held.total == 0

    asyncio.run(inside())


# --- anything -----------------------------------------------------------------------------------------------------

WORDS: list[Any] = [
    *("2.0", "tools/call", "tools/list", "initialize", "ping", "server/discover", "subscriptions/listen", "x", ""),
    *("notifications/cancelled", "notifications/initialized", "cats__run", "cats__", "__", "private__run"),
    *(
        None,
        True,
        0,
        1,
        -1,
        1.5,
        2**80,
        [],
        {},
        META,
        {"_meta": META},
        {"_meta": 7},
        {"name": "cats__run"},
        {"cursor": "a"},
    ),
    *({"name": "cats__run", "_meta": META, "arguments": {}}, {"name": 7}, {"notifications": {}}, {"requestId": [1]}),
]
KEYS = ["jsonrpc", "id", "method", "params", "result", "error", "x"]


def something(chance: random.Random) -> bytes:
    """A body: mostly nearly a message, sometimes cut or with a wrong byte."""

    def value(depth: int) -> Any:
        kind = chance.random()
        if depth > 3 or kind < 0.6:
            return chance.choice(WORDS)
        if kind < 0.8:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        return {chance.choice(KEYS): value(depth + 1) for _ in range(chance.randrange(6))}

    message: Any = {"jsonrpc": "2.0", "id": chance.choice(WORDS), "method": chance.choice(WORDS), "params": value(0)}
    if chance.random() < 0.3:
        message = value(0)
    if chance.random() < 0.2:
        message = [message, value(0)]
    body = bytearray(json.dumps(message).encode())
    if chance.random() < 0.2 and body:
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body[: chance.randrange(len(body))] if chance.random() < 0.1 else body)


@pytest.mark.fuzz
def test_whatever_is_sent_is_answered_and_changes_nothing(fuzz_seconds: float) -> None:
    """Any body gives an answer below 500 that is JSON, a stream of events, or empty; and nothing is left behind."""
    chance = random.Random(7)

    async def inside() -> None:
        async with a_toolbox() as (hub, box):
            await box.serve("cats", "run")
            await box.serve("private", "run", access="key")
            end = time.monotonic() + fuzz_seconds
            while time.monotonic() < end:
                body = something(chance)
                headers = [OWNER, (b"content-type", b"application/json")]
                for name, values in (
                    (b"mcp-protocol-version", [MODERN, OLD, "2025-03-26", "2024-11-05", "1", "\xe4"]),
                    (b"mcp-method", ["tools/call", "tools/list", "subscriptions/listen", "x"]),
                    (b"mcp-name", ["cats__run", "=?base64?Y2F0c19fcnVu?=", "=?base64?%?="]),
                    (b"accept", ["application/json", "text/event-stream", "*/*", ""]),
                    (b"mcp-session-id", ["a", ""]),
                ):
                    if chance.random() < 0.7:
                        headers.append((name, chance.choice(values).encode("latin-1")))
                reading = await begin(hub, body, headers=headers, piece=chance.choice([1, 7, 1000]))
                await until(lambda: reading.done or (reading.status and hub.workspace.tools.listeners))  # noqa: B023
                assert reading.status in (200, 202, 400, 404, 406), (body, headers, reading.body)
                if not reading.done:
                    assert reading.events
                elif reading.header(b"content-type") == [b"application/json"]:
                    json.loads(reading.body)
                reading.leave()
                await until(lambda: not hub.workspace.tools.calls and not hub.workspace.tools.listeners)
            assert hub.workspace.tools.limits.held.total == 0
            assert all(call.path.endswith("/cats/mcp") for call in box.calls)

    asyncio.run(inside())


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"jsonrpc": "2.0"}, {"jsonrpc": "2.0", "method": 7}])
def test_what_is_no_message_is_told(value: Any) -> None:
    with pytest.raises(MessageError) as refused:
        read(value)
    assert refused.value.code == messages.INVALID_REQUEST
