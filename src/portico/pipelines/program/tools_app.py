"""The server of ``portico mcp run``: pipelines as tools for agents, in a process of its own, and its health.

Here: its few routes behind the gate. Not here: the tools (`as_tools`). It needs no FastAPI.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import Final

from portico.calls.exchange import Exchange
from portico.functions.server import route_of
from portico.pipelines.deploying.startup import Tell
from portico.pipelines.program.life import alive, begin
from portico.pipelines.server.gate import Gate, refusal_headers
from portico.pipelines.settings import PipelinesSettings
from portico.pipelines.tools.as_tools import HEALTH, PipelineTools
from portico.types import Receive, Scope, Send

log = logging.getLogger(__name__)

_HEALTH: Final = frozenset(("health", "status", HEALTH))


def create_tools_app(settings: PipelinesSettings | None = None, *, key: str = "", tell: Tell | None = None) -> ToolsApp:
    """An ASGI app that serves the pipelines of a folder as tools, at ``/mcp``, and its health at ``/health``.

    *settings*, *key* and *tell* are as for `portico.pipelines.program.app.create_app`.
    """
    return ToolsApp(settings or PipelinesSettings.read(), key, tell)


class ToolsApp:
    """An ASGI app. One instance belongs to one event loop."""

    def __init__(self, settings: PipelinesSettings, key: str, tell: Tell | None) -> None:
        self._settings = settings
        self._tell = tell
        self.deploying = begin(settings)
        self.deployments = self.deploying.deployments
        self.tools = PipelineTools(self.deployments, self.deploying)
        self.gate = Gate.of(settings, settings.api_key or key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI 3.0)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "There is no WebSocket here."})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._settings.root_path:
            scope["root_path"] = self._settings.root_path
        refusal = self.gate.look(scope)
        route = route_of(scope)
        if refusal is None and self.tools.handles(scope["method"], route) and route != HEALTH:
            await self.tools(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, [])
        if refusal is not None:
            await exchange.json({"detail": refusal.detail}, refusal.status, refusal_headers(refusal))
        elif route in _HEALTH:
            await self.tools.answer_health(exchange)
        else:
            await exchange.json({"detail": "Not Found. The tools are at /mcp, and their health is at /health."}, 404)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as life:
            await receive()
            try:
                await life.enter_async_context(alive(self._settings, self.deploying, self._tell, self.tools.shut_down))
            except Exception as error:  # uvicorn ends then, and says this
                log.exception("The server of tools cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
