"""Pipelines as tools for agents, by MCP: a tool for each, and the tools that deploy, undeploy and tell what there is.

Here: which tools there are, and their health. Not here: those of the server itself (`core_tools`), what an agent gets
of a pipeline's result (`tool_results`), how MCP is spoken (`portico.tools`), and how a typed function is called
(`portico.functions`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from portico.calls.exchange import Exchange
from portico.functions.as_tools import Report, failed, tool_of
from portico.functions.names import suggested
from portico.functions.server import route_of
from portico.functions.tool_content import result_form
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.pipelines.tools.core_tools import core_tools
from portico.pipelines.tools.tool_results import TEXT, give
from portico.tools.server import ToolServer
from portico.tools.tool import Tool, ToolCaller, ToolResult
from portico.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from portico.pipelines.deploying.deploying import Deploying

log = logging.getLogger(__name__)

ROUTE: Final = "mcp"
HEALTH: Final = "mcp/health"

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""What may be a tool's name (MCP specification 2025-11-25, "Tool Names")."""

_LIST: Final = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


class PipelineTools:
    """``mcp`` of a server of pipelines: a part of it, which follows what is deployed.

    It is stateless: any of the server's processes may answer any request of a client.
    """

    def __init__(
        self,
        deployments: Deployments,
        deploying: Deploying | None = None,
        *,
        name: str = "portico-pipelines",
        report: Report | None = None,
    ) -> None:
        """Without *deploying* no tool changes what is deployed. *report* shows authors what their pipelines raise."""
        self._deployments = deployments
        self._report = report
        self._core = core_tools(deployments, deploying)
        self._made: dict[str, tuple[Deployment, Tool | None]] = {}
        self._server = ToolServer((), name=name, stateless=True, unknown=_unknown, on_error=report)
        deployments.listeners.append(self._changed)
        self._changed()

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools by name."""
        return self._server.tools

    def handles(self, method: str, route: str) -> bool:
        """Whether the request is for this part."""
        return route in (ROUTE, HEALTH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0)."""
        if scope["type"] == "http" and route_of(scope) == HEALTH:
            await self.answer_health(Exchange(scope, receive, send, []))
        else:
            await self._server(scope, receive, send)

    async def answer_health(self, exchange: Exchange) -> None:
        """Say whether agents can list the tools: 200, or 503 with the reason."""
        if exchange.scope["method"] not in ("GET", "HEAD"):
            await exchange.json({"detail": "Method Not Allowed"}, 405, [(b"allow", b"GET, HEAD")])
            return
        status, told = await self.health()
        await exchange.json(told, status, [(b"cache-control", b"no-store")])

    async def health(self) -> tuple[int, dict[str, Any]]:
        """Ask for the list of tools as an agent does, without a network between; the status, and what is told of it."""
        status, body = await _asked(self._server, _LIST)
        try:
            answer = json.loads(body)
            count = len(answer["result"]["tools"])
        except (ValueError, KeyError, TypeError):
            why = body.decode("utf-8", "replace")[:500]
            return 503, {"status": "unavailable", "detail": f"Tools cannot be listed: {status} {why}"}
        return 200, {"status": "ok", "tools": count, "pipelines": len(self._deployments.present)}

    async def shut_down(self) -> None:
        """End what clients have open."""
        await self._server.close()

    def _changed(self) -> None:
        made: dict[str, tuple[Deployment, Tool | None]] = {}
        tools = {tool.name: tool for tool in self._core}
        for name, deployment in self._deployments.present.items():
            known = self._made.get(name)
            if known is None or known[0] is not deployment:
                known = deployment, pipeline_tool(deployment, self._report)
            made[name] = known
            tool = known[1]
            if tool is None:
                continue
            if tool.name in tools:
                log.warning("Agents are not told of pipeline %r: there is a tool %r already", name, tool.name)
            else:
                tools[tool.name] = tool
        self._made = made
        self._server.replace(tools.values())


def pipeline_tool(deployment: Deployment, report: Report | None = None) -> Tool | None:
    """The tool of a pipeline; None for one that agents are not told of, and for one that has no ``run_api``."""
    api = deployment.api
    if api is None or deployment.skip_mcp or not api.options.tool:
        return None
    name = deployment.name if _NAME.fullmatch(deployment.name) else suggested(deployment.name)
    form = TEXT if api.streams else result_form(api)
    return tool_of(api, report, name=name, form=form, give=give)


def _unknown(name: str) -> Tool:
    async def call(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        return failed(f"Pipeline '{name}' not found: there is no tool of that name")

    return Tool(name=name, call=call)


# --- health -----------------------------------------------------------------------------------------------------------


async def _asked(app: ToolServer, body: bytes) -> tuple[int, bytes]:
    """What *app* answers to *body*: its status, and its body."""
    answered: list[Message] = []
    inbox: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return inbox.pop() if inbox else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        answered.append(message)

    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/{ROUTE}",
        "raw_path": f"/{ROUTE}".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        "extensions": {},
    }
    await app(scope, receive, send)
    status = next((message["status"] for message in answered if message["type"] == "http.response.start"), 500)
    whole = b"".join(message.get("body", b"") for message in answered if message["type"] == "http.response.body")
    return status, whole
