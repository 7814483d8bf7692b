"""All tools behind one URL: requests under ``/portico/mcp``, and questions for what is not here, for tornado.

What such a request means is in `portico.hub.tools.exchange`; a visitor's connection is that of `portico.jupyter.edge`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate

from portico.hub.answers import Answer
from portico.hub.tools.base import AllTools
from portico.hub.tools.exchange import ToolsExchange
from portico.hub.tools.no_oauth import no_oauth
from portico.hub.visits import Visit
from portico.jupyter.edge import Edge, VisitorDelegate
from portico.protocol import Kind


class ToolsEdge(HTTPServerConnectionDelegate):
    """The target of the rule for ``/portico/mcp``."""

    def __init__(self, edge: Edge, path: str) -> None:
        """*path* is the URL's, without a slash at its end."""
        self._edge = edge
        self._all = AllTools(edge.hub.workspace.tools, path)

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return _ToolsDelegate(self._edge, request_conn, self._all)


class _ToolsDelegate(VisitorDelegate):
    """One request of an agent."""

    __slots__ = ("_all",)

    def __init__(self, edge: Edge, connection: Any, all_tools: AllTools) -> None:
        super().__init__(edge, connection)
        self._all = all_tools

    def _route(self, visit: Visit) -> Any:
        if visit.request.kind is Kind.WEBSOCKET:
            raise Answer(404, "not_found", "Tools are called by HTTP, and not by WebSocket.")
        self._forward = exchange = ToolsExchange(self._all, visit, self, fin=self._fin)
        return asyncio.ensure_future(self._start(exchange))

    async def _start(self, exchange: ToolsExchange) -> None:
        if await exchange.start():
            self._continue()


class NoOAuthEdge(HTTPServerConnectionDelegate):
    """The target of the rules for ``/.well-known/oauth-...``, which MCP clients ask for after a 401."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return _NoOAuthDelegate(self._edge, request_conn)


class _NoOAuthDelegate(VisitorDelegate):
    """One such question."""

    __slots__ = ()

    def _route(self, visit: Visit) -> Any:
        no_oauth(visit, self)
