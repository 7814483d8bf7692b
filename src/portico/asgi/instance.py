"""One app that runs: its lifespan, and the requests that are in it.

A service's app may be replaced while it is called: the new instance starts first, new requests go to it, and the old
one ends once its last request has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from portico.asgi.carrier import Carrier, Report
from portico.asgi.http import HTTPExchange
from portico.asgi.lifespan import Lifespan
from portico.asgi.websocket import WebSocketExchange
from portico.protocol.events import Open
from portico.protocol.frames import Kind
from portico.types import ASGIApp

RETIRE_AFTER = 60.0
"""Seconds that a replaced app's requests have to end (WebSockets are told to leave at once after it)."""

_SOME_404 = 3
"""Answers: a browser asks for a page and its icon, and a person tries once more."""

Exchange = HTTPExchange | WebSocketExchange


class Instance:
    """An app between `start` and `retire`."""

    def __init__(
        self,
        app: ASGIApp,
        report: Report,
        context: Context | None = None,
        only_404: Callable[[], None] | None = None,
    ) -> None:
        """All of the app's code runs in copies of *context*, by default the caller's.

        *only_404* is called once the app has answered `_SOME_404` requests, and each with 404.
        """
        self.app = app
        self._report = report
        self._context = context or copy_context()
        self._lifespan = Lifespan(app, report, self._context)
        self._only_404 = only_404
        self._missed = 0
        self._exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._retiring = False

    @property
    def in_flight(self) -> int:
        return len(self._exchanges)

    async def start(self) -> None:
        """Run the app's startup. Raises `portico.errors.StartupFailed`."""
        await self._lifespan.startup()

    def begin(self, carrier: Carrier, request: Open) -> Exchange:
        """Call the app for *request*; returns the stream's handler."""
        kind = WebSocketExchange if request.kind == Kind.WEBSOCKET else HTTPExchange
        exchange: Exchange = kind(
            carrier,
            request,
            self.app,
            state=self._lifespan.state,
            report=self._report,
            finished=self._finished,
        )
        self._exchanges.add(exchange)
        self._idle.clear()
        self._context.run(exchange.start)
        return exchange

    def _finished(self, exchange: Any) -> None:
        self._exchanges.discard(exchange)
        if self._only_404 is not None and isinstance(exchange, HTTPExchange):
            self._count(exchange.status)
        if not self._exchanges:
            self._idle.set()

    def _count(self, status: int) -> None:
        """Until the app has answered anything else, see whether it finds none of its routes."""
        if status == 404:
            self._missed += 1
            if self._missed < _SOME_404 or self._only_404 is None:
                return
            self._only_404()
        elif status == 0:
            return  # it has said nothing
        self._only_404 = None

    async def retire(self, timeout: float = RETIRE_AFTER) -> None:
        """Let the requests in flight end within *timeout* seconds, cancel the rest, then run the app's shutdown."""
        if self._retiring:
            return
        self._retiring = True
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            for exchange in tuple(self._exchanges):
                exchange.cancel()
            try:
                async with asyncio.timeout(5.0):
                    await self._idle.wait()
            except TimeoutError:
                pass  # it swallows its cancelling; nothing more can be done to a coroutine
        await self._lifespan.shutdown()
