"""A tool server under uvicorn, on the test's own loop, and the tools that tests call there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from portico.tools.server import ToolServer
from portico.tools.tool import Tool, ToolCaller, ToolResult
from portico.types import ASGIApp

WITHIN = 20.0
"""Seconds in which a test is over, or fails."""

STOPPED_WITHIN = 1.0
"""Seconds in which a call whose client has left or changed its mind is told."""


def run(test: Coroutine[Any, Any, None], within: float = WITHIN) -> None:
    """Run *test* on a loop of its own, for at most *within* seconds."""

    async def bounded() -> None:
        async with asyncio.timeout(within):
            await test

    asyncio.run(bounded())


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """The URL of *app* under uvicorn, without a slash at its end."""
    import uvicorn  # not where there are no threads: tests that serve nothing run in Pyodide too

    config = uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def add(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
    total = arguments["a"] + arguments["b"]
    return ToolResult(content=({"type": "text", "text": str(total)},), structured={"result": total})


async def fail(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
    return ToolResult(content=({"type": "text", "text": "ValueError: too few rooms"},), is_error=True)


async def broken(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
    raise RuntimeError("a secret of ours")


async def steps(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
    """Tell of three steps, each only when the last has had time to be written."""
    assert caller.progress is not None
    for step in range(1, 4):
        caller.progress(step, 3, f"step {step}")
        await asyncio.sleep(0.1)
    return ToolResult(content=({"type": "text", "text": "done"},))


async def who(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
    told = {"identity": caller.identity, "own": dict(caller.headers).get(b"x-own", b"").decode()}
    return ToolResult(content=({"type": "text", "text": str(told)},), structured=told)


class Patience:
    """A tool that waits until it is cancelled, and tells when it began and when it was."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self, arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # code that cleans up waits, too, and is not cancelled again meanwhile
            self.stopped.set()
        raise AssertionError


NUMBERS = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}
NUMBER = {"type": "object", "properties": {"result": {"type": "number"}}, "required": ["result"]}

TOOLS = (
    Tool(name="add", call=add, title="Sum", description="Add two.", input_schema=NUMBERS, output_schema=NUMBER),
    Tool(name="fail", call=fail),
    Tool(name="broken", call=broken),
    Tool(name="steps", call=steps),
    Tool(name="who", call=who),
)


def tool_server(*more: Tool) -> ToolServer:
    return ToolServer((*TOOLS, *more), name="flats", instructions="Ask for prices.")


def as_callers(app: ASGIApp) -> ASGIApp:
    """*app* as behind a hub, which has verified each caller: who it is stands in the header X-Test-Caller."""

    async def behind_a_hub(scope: Any, receive: Any, send: Any) -> None:
        caller = dict(scope["headers"]).get(b"x-test-caller", b"").decode()
        identity = {"access": "key", "id": caller} if caller else {"access": "anonymous"}
        await app({**scope, "extensions": {"portico": identity}}, receive, send)

    return behind_a_hub


def messages(text: str) -> list[dict[str, Any]]:
    """The messages of a stream of events."""
    return [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]
