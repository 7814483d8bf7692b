"""All models behind one base URL: requests under ``/portico/v1``, for tornado.

What such a request means is in `portico.hub.models.base`; a visitor's connection is that of `portico.jupyter.edge`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate

from portico.hub.answers import Answer
from portico.hub.models.base import AllModels
from portico.hub.models.exchange import ModelsExchange
from portico.hub.models.socket import ModelsSocket
from portico.hub.visits import Visit
from portico.jupyter.edge import Edge, VisitorDelegate
from portico.protocol import Kind


class ModelsEdge(HTTPServerConnectionDelegate):
    """The target of the rule for ``/portico/v1``."""

    def __init__(self, edge: Edge, path: str) -> None:
        """*path* is the base URL's, without a slash at its end."""
        self._edge = edge
        self._all = AllModels(edge.hub.gateway, edge.hub.registry, path)

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return _ModelsDelegate(self._edge, request_conn, self._all)


class _ModelsDelegate(VisitorDelegate):
    """One request to whichever service has the model."""

    __slots__ = ("_all",)

    def __init__(self, edge: Edge, connection: Any, all_models: AllModels) -> None:
        super().__init__(edge, connection)
        self._all = all_models

    def _route(self, visit: Visit) -> Any:
        if visit.request.kind is Kind.WEBSOCKET:
            return asyncio.ensure_future(self._connect(visit))
        self._forward = exchange = ModelsExchange(self._all, visit, self, fin=self._fin)
        return asyncio.ensure_future(self._start(exchange))

    async def _start(self, exchange: ModelsExchange) -> None:
        if await exchange.start():
            self._continue()

    async def _connect(self, visit: Visit) -> None:
        socket = ModelsSocket(self._all, visit)
        try:
            await socket.admit()
        except Answer as answer:
            if not self._gone:
                self.answer(answer)
            return
        visitor = self._take_over(visit)
        if visitor is not None:
            visitor.begin(socket.begin)
