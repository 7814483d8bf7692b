"""The one URL of tools on a relay: of each workspace one, by path and by host, under every server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from portico.hub.descriptor import Principal
from portico.relay.config import RelayConfig
from portico.relay.edge.routes import Routes
from tests.hub.tools.agents import MODERN, OLD, Agent, Call, Toolbox
from tests.in_process import Publisher
from tests.relay.here_relay import SERVERS, HereRelay, a_relay
from tests.waiting import until

ERAS = [MODERN, OLD]


class Visitor:
    """A client of one workspace's tools."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str, version: str = MODERN) -> None:
        self.http, self.url, self.key = http, url, key
        self.agent = Agent(None, None, version=version)  # type: ignore[arg-type]

    def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        message = self.agent.message(method, params)
        headers = {name.decode(): value.decode() for name, value in self.agent.headers(message)}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        return {"method": "POST", "url": self.url, "json": message, "headers": headers}

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> httpx.Response:
        return await self.http.request(**self.request(method, params))


@contextlib.asynccontextmanager
async def world(
    server: str = SERVERS[0], **settings: Any
) -> AsyncIterator[tuple[HereRelay, Toolbox, httpx.AsyncClient]]:
    async with a_relay(server, **settings) as relay, httpx.AsyncClient(timeout=10) as http:
        yield relay, await provider(relay, "alice"), http


async def provider(relay: HereRelay, workspace: str) -> Toolbox:
    token, _ = await relay.state.tokens.mint(
        user_id=workspace, workspace=workspace, scopes=("publish:*", "manage"), lifetime=600
    )
    publisher = Publisher(relay, token)  # type: ignore[arg-type]
    return await Toolbox.of(publisher)


async def key_of(relay: HereRelay, workspace: str, *services: str) -> str:
    control = relay.state.workspaces.get(workspace).control
    minted = await control.mint(Principal(id=f"user:{workspace}"), {"services": [*services], "expires_in": 600})
    return str(minted["key"])


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("server", SERVERS)
def test_each_workspace_has_its_tools_at_one_url(server: str, version: str) -> None:
    async def inside() -> None:
        async with world(server) as (relay, box, http):
            await relay.state.accounts.add("bob", "correct horse battery")
            await relay.state.workspaces.open("bob")
            other = await provider(relay, "bob")
            await box.serve("flats", "run")
            await box.serve("open", "run", access="public")
            await other.serve("flats", "walk")
            url = f"http://127.0.0.1:{relay.port}"
            alice = Visitor(http, f"{url}/alice/mcp", await key_of(relay, "alice", "flats"), version)
            listed = (await alice.ask("tools/list")).json()["result"]["tools"]
            assert [tool["name"] for tool in listed] == ["flats__run", "open__run"]
            called = (await alice.ask("tools/call", {"name": "flats__run", "arguments": {"a": 1}})).json()
            assert json.loads(called["result"]["content"][0]["text"])["arguments"] == {"a": 1}
            assert box.calls[0].path == "/alice/apps/flats/mcp"
            stranger = Visitor(http, f"{url}/alice/mcp", "", version)
            assert [tool["name"] for tool in (await stranger.ask("tools/list")).json()["result"]["tools"]] == [
                "open__run"
            ]
            for key in ("", alice.key, await key_of(relay, "bob", "flats")):
                visitor = Visitor(http, f"{url}/bob/mcp", key, version)
                answer = await visitor.ask("tools/list")
                if key in ("", alice.key):
                    assert answer.status_code == 401
                    assert answer.headers["www-authenticate"].startswith('Bearer realm="portico"')
                else:
                    assert [tool["name"] for tool in answer.json()["result"]["tools"]] == ["flats__walk"]
            assert (await Visitor(http, f"{url}/nobody/mcp", "", version).ask("tools/list")).status_code == 401

    asyncio.run(inside())


@pytest.mark.parametrize("server", SERVERS)
def test_progress_streams_and_who_leaves_cancels(server: str) -> None:
    async def inside() -> None:
        async with world(server) as (relay, box, http):
            left = asyncio.Event()

            async def answer(call: Call) -> None:
                await call.head()
                params = {"progressToken": "t", "progress": 1}
                await call.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
                await call.left.wait()
                left.set()

            await box.serve("slow", "run", access="public", answer=answer)
            visitor = Visitor(http, f"http://127.0.0.1:{relay.port}/alice/mcp", "")
            asked = visitor.request("tools/call", {"name": "slow__run", "_meta": {"progressToken": "t"}})
            async with http.stream(**asked) as response:
                assert response.headers["content-type"] == "text/event-stream"
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        assert json.loads(line[6:])["method"] == "notifications/progress"
                        break
            async with asyncio.timeout(1):
                await left.wait()

    asyncio.run(inside())


@pytest.mark.parametrize("server", SERVERS)
def test_changes_are_heard_of_until_the_relay_drains(server: str) -> None:
    async def inside() -> None:
        async with world(server) as (relay, box, http):
            await box.serve("open", "run", access="public")
            visitor = Visitor(http, f"http://127.0.0.1:{relay.port}/alice/mcp", "")
            asked = visitor.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            async with http.stream(**asked) as response:
                events = (json.loads(line[6:]) async for line in response.aiter_lines() if line.startswith("data: "))
                assert (await anext(events))["method"] == "notifications/subscriptions/acknowledged"
                async with asyncio.timeout(1):
                    await box.serve("another", "run", access="public")
                    assert (await anext(events))["method"] == "notifications/tools/list_changed"
                relay.relay.edge.leave()
                async with asyncio.timeout(1):
                    assert (await anext(events))["result"]["resultType"] == "complete"
            await until(lambda: not relay.workspace.tools.listeners)

    asyncio.run(inside())


@pytest.mark.parametrize("server", SERVERS)
def test_there_is_no_authorization_server_for_tools(server: str) -> None:
    async def inside() -> None:
        async with world(server) as (relay, _, http):
            url = f"http://127.0.0.1:{relay.port}"
            names = ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration")
            for name in names:
                for path in (
                    f"/.well-known/{name}/alice/mcp",
                    f"/.well-known/{name}/alice/apps/flats/mcp",
                    f"/alice/mcp/.well-known/{name}",
                    f"/.well-known/{name}",
                ):
                    headers = {"mcp-protocol-version": MODERN, "accept": "text/html"}
                    answer = await http.get(url + path, headers=headers)
                    assert answer.status_code == 404, path
                    assert answer.json()["error"]["message"]
            own = await http.get(f"{url}/.well-known/oauth-authorization-server")
            assert own.json()["device_authorization_endpoint"], "programs that sign in find it as ever"

    asyncio.run(inside())


def test_a_workspaces_host_has_its_tools() -> None:
    routes = Routes(RelayConfig(domain="share.example.org"))
    for path, tools in [(b"/mcp", True), (b"/mcp/", True), (b"/mcp/x", True), (b"/mcpx", False), (b"/x/mcp", False)]:
        found = routes.locate("alice.share.example.org", path)
        assert found is not None
        assert (found.tools, found.models) == (tools, False)
        if tools:
            assert (found.workspace, found.base) == ("alice", "/mcp")
    models = routes.locate("alice.share.example.org", b"/v1/models")
    assert models is not None
    assert (models.tools, models.models) == (False, True)
    service = routes.locate("flats--alice.share.example.org", b"/mcp")
    assert service is not None
    assert (service.service, service.all_services) == ("flats", False)


def test_by_path_a_workspace_has_its_tools() -> None:
    routes = Routes(RelayConfig(paths=True, base_url="http://127.0.0.1:1"))
    for path, tools in [(b"/alice/mcp", True), (b"/alice/mcp/x", True), (b"/alice/apps/mcp/", False)]:
        for _ in range(2):  # the second time it is remembered
            found = routes.locate("127.0.0.1:1", path)
            assert found is not None
            assert (found.tools, found.models, found.base) == (tools, False, "/alice/mcp" if tools else "")
    for path in (b"/alice/mcpx", b"/portico/mcp", b"/mcp", b"/.well-known/mcp"):
        assert routes.locate("127.0.0.1:1", path) is None
