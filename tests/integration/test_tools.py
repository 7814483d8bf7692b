"""Tools in a kernel, through a real Jupyter server: on the provider's loop, behind a root path, for known callers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.live_jupyter import JupyterServer, Kernel
from tests.tools.served import STOPPED_WITHIN, run
from tests.tools.test_handshake import HELLO

MODERN, HANDSHAKE = "2026-07-28", "legacy"
ERAS = (MODERN, HANDSHAKE)


@dataclass(frozen=True)
class InKernel:
    url: str
    """With a slash at its end."""
    keys: tuple[str, str]
    kernel: Kernel

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[0]}"}

    @asynccontextmanager
    async def client(self, era: str, path: str = "mcp", **options: Any) -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(headers=self.headers, timeout=20) as http,
            Client(streamable_http_client(self.url + path, http_client=http), mode=era, **options) as client,
        ):
            yield client

    async def value(self, expression: str) -> Any:
        """What *expression* is in the kernel."""
        output = await asyncio.to_thread(self.kernel.execute, f"import json; print(json.dumps({expression}))")
        return json.loads(output.check().text.strip().splitlines()[-1])

    async def so(self, expression: str, within: float = 10) -> None:
        """Wait until *expression* is true in the kernel."""
        async with asyncio.timeout(within):
            while not await self.value(expression):  # noqa: ASYNC110 -- it is in another process
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def in_kernel(jupyter_server: JupyterServer) -> Iterator[InKernel]:
    kernel = jupyter_server.kernel()
    kernel.execute("from tests.integration import tools_in_kernel as in_kernel; served = in_kernel.serve()").check()
    told = kernel.execute("print(served.url, served.key(), served.key())").check().text.split()
    yield InKernel(told[-3], (told[-2], told[-1]), kernel)
    kernel.shutdown()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", ["mcp", "mcp/"])
def test_tools_are_called(in_kernel: InKernel, era: str, path: str) -> None:
    async def test() -> None:
        async with in_kernel.client(era, path) as client:
            assert "add" in [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("add", {"a": 1, "b": 2})
            assert (result.is_error, result.structured_content) == (False, {"result": 3})
            assert (await client.call_tool("who", {})).structured_content["access"] == "key"

    run(test())


@pytest.mark.parametrize("era", ERAS)
def test_progress_is_told_as_it_is_made(in_kernel: InKernel, era: str) -> None:
    async def test() -> None:
        told: list[Any] = []

        async def on_progress(*step: Any) -> None:
            told.append(step)

        async with in_kernel.client(era) as client:
            await client.call_tool("steps", {}, progress_callback=on_progress)
            assert told == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]

    run(test())


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", ["wait", "count"])
def test_a_client_that_gives_up_stops_the_function(in_kernel: InKernel, era: str, name: str) -> None:
    async def test() -> None:
        counts = f"[in_kernel.began.count({name!r}), in_kernel.stopped.count({name!r})]"
        began, stopped = await in_kernel.value(counts)
        async with in_kernel.client(era) as client:
            call = asyncio.create_task(client.call_tool(name, {}))
            await in_kernel.so(f"{counts}[0] > {began}")
            call.cancel()
            await in_kernel.so(f"{counts}[1] > {stopped}", STOPPED_WITHIN + 0.5)  # and the time to ask the kernel

    run(test())


def test_the_session_of_one_key_is_no_other_keys(in_kernel: InKernel) -> None:
    async def test() -> None:
        async with httpx2.AsyncClient(timeout=20) as http:

            async def post(key: str, message: dict[str, Any], **headers: str) -> httpx2.Response:
                own = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
                told = {"jsonrpc": "2.0", "id": 1, **message}
                return await http.post(f"{in_kernel.url}mcp", json=told, headers={**own, **headers})

            hello = await post(in_kernel.keys[0], {"method": "initialize", "params": HELLO})
            session = {"mcp-session-id": hello.headers["mcp-session-id"]}
            assert (await post(in_kernel.keys[0], {"method": "ping"}, **session)).status_code == 200
            assert (await post(in_kernel.keys[1], {"method": "ping"}, **session)).status_code == 404

    run(test())


@pytest.mark.parametrize("era", ERAS)
def test_those_who_listen_hear_of_a_change_within_a_second(in_kernel: InKernel, era: str) -> None:
    """In a kernel of the module: the last test, since other tools are there afterwards."""

    async def test() -> None:
        heard = asyncio.Event()

        async def on_message(message: Any) -> None:
            if "list_changed" in str(getattr(message, "method", "")):
                heard.set()

        await asyncio.to_thread(
            in_kernel.kernel.execute,
            "from portico.functions.as_tools import tools_of; from portico.functions.signature import typed_function;"
            "in_kernel.server.replace(tools_of([typed_function(in_kernel.change)]))",
        )
        await in_kernel.so("in_kernel.listeners() == 0")
        options = {"message_handler": on_message} if era == HANDSHAKE else {}
        async with in_kernel.client(era, **options) as client:
            if era == MODERN:
                async with client.listen(tools_list_changed=True) as news:
                    await client.call_tool("change", {})
                    async with asyncio.timeout(1):
                        await anext(aiter(news))
            else:
                await in_kernel.so("in_kernel.listeners() > 0")
                await client.call_tool("change", {})
                async with asyncio.timeout(1):
                    await heard.wait()
            assert [tool.name for tool in (await client.list_tools()).tools] == ["sum"]

    run(test())


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("serves", [False, True], ids=["defines it", "defines and serves it"])
def test_a_cell_that_is_run_again_is_another_tool_at_once(
    jupyter_server: JupyterServer, era: str, serves: bool
) -> None:
    """Those who are connected stay so, though another app may have taken the place of the one they came to."""
    kernel = jupyter_server.kernel()
    kernel.execute("%load_ext portico").check()
    kernel.execute("def predict(area: float) -> float:\n    'Price.'\n    return area * 1000").check()
    name = f"flats-{era[:4]}-{serves:d}"
    kernel.execute(f"served = %serve predict --name {name}").check()
    url, *keys = kernel.execute("print(served.url, served.key(), served.key())").check().text.split()[-3:]
    live = InKernel(url, (keys[0], keys[1]), kernel)

    async def test() -> None:
        heard = asyncio.Event()

        async def on_message(message: Any) -> None:
            if "list_changed" in str(getattr(message, "method", "")):
                heard.set()

        async def rerun() -> None:
            code = "def predict(area: float, rooms: int = 2) -> float:\n    'Price.'\n    return area * rooms"
            (await asyncio.to_thread(kernel.execute, code + (f"\n%serve predict --name {name}" * serves))).check()

        options = {"message_handler": on_message} if era == HANDSHAKE else {}
        async with live.client(era, **options) as client:
            assert (await client.call_tool("predict", {"area": 2})).structured_content == {"result": 2000.0}
            if era == MODERN:
                async with client.listen(tools_list_changed=True) as news:
                    await rerun()
                    async with asyncio.timeout(1):
                        await anext(aiter(news))
            else:
                listens = "any(len(one._changes) for one in gc.get_objects() if type(one).__name__ == 'Endpoint')"
                await live.so(f"(gc := __import__('gc')) and {listens}")
                await rerun()
                async with asyncio.timeout(1):
                    await heard.wait()
            (tool,) = (await client.list_tools()).tools
            assert list(tool.input_schema["properties"]) == ["area", "rooms"]
            assert (await client.call_tool("predict", {"area": 2, "rooms": 3})).structured_content == {"result": 6.0}

    run(test())
    kernel.shutdown()
