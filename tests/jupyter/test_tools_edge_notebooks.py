"""Tools of three notebooks at one URL, by the official client of MCP: listed, called, and gone with their kernels."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ToolsListChanged
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from tests import environments
from tests.live_jupyter import JupyterServer, Kernel
from tests.live_relay import RelayProcess

OLD_CLIENT = Path(__file__).parent.parent / "tools" / "old_client" / "requirements.txt"
JS_AGENT = Path(__file__).with_name("js_agent")
ERAS = ["auto", "legacy"]

SERVE = '''
import asyncio, os, time
import portico
%load_ext portico

def predict(area: float, rooms: int = 2) -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    return area * 1000 + rooms

def who(user: portico.User) -> str:
    """Who calls."""
    return user.id

async def steps(progress: portico.Progress) -> str:
    """Goes step by step."""
    for number in range(3):
        progress(number + 1, 3, "going on")
        await asyncio.sleep(0.05)
    return "done"

def fails() -> None:
    """Never works."""
    raise ValueError("there is no such flat")

left = []

async def patient(progress: portico.Progress) -> str:
    """Waits to be cancelled."""
    progress(0, 1, "it has begun")
    try:
        await asyncio.sleep(3600)
    finally:
        left.append(time.time())
'''


@pytest.fixture
def kernels(jupyter_server: JupyterServer) -> Iterator[list[Kernel]]:
    """Three of them, each with a tool of the same name."""
    made = [jupyter_server.kernel() for _ in range(3)]
    for number, kernel in enumerate(made):
        kernel.execute(SERVE).check()
        kernel.execute(f"def number() -> int:\n    return {number}").check()
        kernel.execute(f"%serve [number, predict, who, steps, fails, patient] --name nb{number}").check()
    yield made
    for kernel in made:
        kernel.shutdown()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


@asynccontextmanager
async def agent(
    server: JupyterServer, key: str, era: str = "auto", query: str = "", **options: Any
) -> AsyncIterator[Client]:
    """The official client, as its user would make it."""
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http:
        transport = streamable_http_client(f"{server.url}portico/mcp{query}", http_client=http)
        async with Client(transport, mode=era, **options) as client:
            yield client


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


def key_for(server: JupyterServer, *services: str) -> str:
    return str(server.api("POST", "portico/api/keys", {"services": list(services), "expires_in": 600})["key"])


def test_tools_of_three_notebooks_are_listed_called_and_gone_with_their_kernels(
    jupyter_server: JupyterServer, kernels: list[Kernel]
) -> None:
    async def work() -> None:
        changed = asyncio.Event()

        async def listen(client: Client, ready: asyncio.Event) -> None:
            async with client.listen(tools_list_changed=True) as subscription:
                ready.set()
                async for event in subscription:
                    assert isinstance(event, ToolsListChanged)
                    changed.set()

        async with agent(jupyter_server, jupyter_server.token) as client:
            for number in range(3):
                result = await client.call_tool(f"nb{number}__number", {})
                assert result.structured_content == {"result": number}
            ready = asyncio.Event()
            listening = asyncio.create_task(listen(client, ready))
            await ready.wait()
            everything = await names(client)
            assert {f"nb{number}__number" for number in range(3)} <= everything
            assert {tool for tool in everything if tool.startswith("nb")} == {
                f"nb{number}__{tool}"
                for number in range(3)
                for tool in ("number", "predict", "who", "steps", "fails", "patient")
            }

            # one is killed, one is restarted, one is shut down
            pid = int(await asyncio.to_thread(lambda: kernels[0].execute("print(os.getpid())").check().text))
            for number, end in enumerate(
                [lambda: os.kill(pid, signal.SIGKILL), kernels[1].restart, kernels[2].shutdown]
            ):
                changed.clear()
                began = time.monotonic()
                ending = asyncio.create_task(asyncio.to_thread(end))
                await changed.wait()
                gone = time.monotonic() - began
                assert not any(tool.startswith(f"nb{number}__") for tool in await names(client))
                await ending
                print(f"{number}: gone after {gone:.2f} s")
                if number != 1:  # Jupyter takes its time to end a kernel that it restarts
                    assert gone < 1
            listening.cancel()

    run(work())


@pytest.mark.parametrize("era", ERAS)
def test_the_official_client_is_told_what_a_notebook_says(
    jupyter_server: JupyterServer, kernels: list[Kernel], era: str
) -> None:
    async def work() -> None:
        key = key_for(jupyter_server, "nb0")
        async with agent(jupyter_server, key, era) as client:
            assert client.server_info.name == "portico"
            assert "- nb0: 6 tools" in (client.instructions or "")
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert len(tools) == 6, "the key opens one of three notebooks"
            predict = tools["nb0__predict"]
            assert predict.description == "Price of a flat."
            assert predict.input_schema["properties"]["area"]["description"] == "square metres"
            assert predict.input_schema["required"] == ["area"]
            result = await client.call_tool("nb0__predict", {"area": 70})
            assert result.structured_content == {"result": 70002.0}
            told: list[Any] = []

            async def on_progress(done: float, total: float | None, message: str | None) -> None:
                told.append((done, total, message))

            result = await client.call_tool("nb0__steps", {}, progress_callback=on_progress)
            assert result.content[0].text == "done"
            assert told == [(1, 3, "going on"), (2, 3, "going on"), (3, 3, "going on")]
            result = await client.call_tool("nb0__fails", {})
            assert result.is_error
            assert result.content[0].text == "ValueError: there is no such flat"
            result = await client.call_tool("nb0__predict", {"area": "wide"})
            assert result.is_error
            assert "area" in result.content[0].text
            with pytest.raises(Exception, match="Unknown tool: nb1__number"):
                await client.call_tool("nb1__number", {})

    run(work())


@pytest.mark.parametrize("era", ERAS)
def test_a_client_that_gives_up_cancels_within_a_second(
    jupyter_server: JupyterServer, kernels: list[Kernel], era: str
) -> None:
    async def work() -> None:
        async with agent(jupyter_server, jupyter_server.token, era) as client:
            await client.call_tool("nb0__number", {})  # the first call of a kernel takes a moment
            with pytest.raises(MCPError):
                await client.call_tool("nb0__patient", {}, read_timeout_seconds=0.5)
            gave_up = time.time()
            text = ""
            while not text:
                text = (await asyncio.to_thread(kernels[0].execute, "print(*left)")).check().text.strip()
            assert float(text) < gave_up + 1

    run(work())


def test_a_cell_that_serves_anew_is_heard_of(jupyter_server: JupyterServer, kernels: list[Kernel]) -> None:
    async def work() -> None:
        async with (
            agent(jupyter_server, jupyter_server.token, query="?services=nb0") as client,
            client.listen(tools_list_changed=True) as subscription,
        ):
            await asyncio.to_thread(kernels[0].execute, "%serve [predict] --name nb0 --replace")
            async with asyncio.timeout(1):
                await anext(aiter(subscription))
            assert await names(client) == {"nb0__predict"}

    run(work())


def test_the_last_client_that_shakes_hands_lists_calls_and_hears(
    jupyter_server: JupyterServer, kernels: list[Kernel]
) -> None:
    python = environments.python("mcp-old", OLD_CLIENT)
    program = Path(__file__).with_name("old_agent.py")

    async def work() -> None:
        url = f"{jupyter_server.url}portico/mcp?services=nb0"
        client = await asyncio.create_subprocess_exec(
            str(python), str(program), url, jupyter_server.token, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert client.stdout is not None
            line = json.loads(await client.stdout.readline())
            assert line["server"] == "portico"
            assert line["tools"] == [
                f"nb0__{name}" for name in ("number", "predict", "who", "steps", "fails", "patient")
            ]
            assert line["predict"] == {"result": 70002.0}
            assert line["progress"] == [[1, 3], [2, 3], [3, 3]]
            assert line["fails"] == [True, "ValueError: there is no such flat"]
            assert line["cancelled"] < 1
            await asyncio.to_thread(kernels[0].execute, "%serve [predict] --name nb0 --replace")
            served = time.time()
            changed = json.loads(await client.stdout.readline())
            assert changed["tools"] == ["nb0__predict"]
            assert changed["heard"] - served < 1
            assert await client.wait() == 0
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()

    run(work())


@pytest.mark.real
def test_the_javascript_sdk_lists_calls_aborts_and_hears(jupyter_server: JupyterServer, kernels: list[Kernel]) -> None:
    npm = shutil.which("npm")
    assert npm is not None, "Node.js and npm are not installed."
    lock = (JS_AGENT / "package-lock.json").read_bytes()
    environments.unless_made(
        JS_AGENT / "node_modules" / ".made-from", lock, lambda: environments.run([npm, "ci", "--silent"], JS_AGENT)
    )
    url = f"{jupyter_server.url}portico/mcp?services=nb0"
    command = ["node", str(JS_AGENT / "agent.mjs"), url, key_for(jupyter_server, "nb0")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        told = json.loads(client.stdout.readline())
        assert told["server"] == "portico"
        assert told["tools"] == [f"nb0__{name}" for name in ("number", "predict", "who", "steps", "fails", "patient")]
        assert told["predict"] == {"result": 70002}
        assert told["fails"] == [True, "ValueError: there is no such flat"]
        text = ""
        while not text:
            text = kernels[0].execute("print(*left)").check().text.strip()
        assert float(text) < told["aborted"] + 1
        kernels[0].execute("%serve [predict] --name nb0 --replace").check()
        served = time.time()
        changed = json.loads(client.stdout.readline())
        assert changed["tools"] == ["nb0__predict"]
        assert changed["heard"] - served < 1
        assert client.wait(10) == 0


def test_a_kernel_that_hangs_hides_its_tools_alone(jupyter_server: JupyterServer, kernels: list[Kernel]) -> None:
    """A stopped process is there for the system, and answers nothing: others are listed as fast as ever."""

    async def work() -> None:
        text = (await asyncio.to_thread(kernels[1].execute, "print(os.getpid())")).check().text
        os.kill(int(text), signal.SIGSTOP)
        try:
            async with agent(jupyter_server, jupyter_server.token) as client:
                began = time.monotonic()
                tools = await names(client)
                assert time.monotonic() - began < 2
                assert {"nb0__number", "nb2__number"} <= tools
                assert (await client.call_tool("nb2__number", {})).structured_content == {"result": 2}
        finally:
            os.kill(int(text), signal.SIGCONT)

    run(work())


def test_what_is_shared_by_a_relay_is_a_tool_there_too(
    kernels: list[Kernel], relay: RelayProcess, relay_by_host: RelayProcess
) -> None:
    kernels[0].execute("service = portico.serve([predict, who], name='nb0', replace=True)").check()

    async def work() -> None:
        for number, there in enumerate((relay, relay_by_host)):
            where = f"'http://127.0.0.1:{there.port}/', token={there.token()!r}, name='link{number}'"
            code = f"link = service.share({where}, access='key', rate='3/h')\nprint(link.key('1h'))"
            key = (await asyncio.to_thread(kernels[0].execute, code)).check().text.strip()
            headers = {"Authorization": f"Bearer {key}"}
            url = f"{there.url}alice/mcp"
            if there is relay_by_host:
                headers["Host"] = f"alice.share.localhost:{there.port}"
                url = f"http://127.0.0.1:{there.port}/mcp"
            async with (
                create_mcp_http_client(headers=headers) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                assert await names(client) == {f"link{number}__predict", f"link{number}__who"}
                for _ in range(3):
                    result = await client.call_tool(f"link{number}__predict", {"area": 1})
                    assert result.structured_content == {"result": 1002.0}
                with pytest.raises(MCPError, match="More requests came from you"):
                    await client.call_tool(f"link{number}__predict", {"area": 1})

    run(work())
