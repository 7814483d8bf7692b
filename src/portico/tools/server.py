"""The ASGI app behind a service's MCP URL: any path that it is called at is the endpoint.

Here: the life of that app, and what is answered where the SDK cannot be used. Which protocol is spoken, and by what, is
in `endpoint`, which imports the official SDK: that takes half a second, so it is done when the first client comes, and
what goes wrong then costs these tools alone. Not here: who may call, and from which host names and origins: the hub has
looked at all of that. Source: MCP specification, "Streamable HTTP".
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from portico.calls.cors import Origins
from portico.calls.exchange import Exchange
from portico.calls.in_thread import in_thread
from portico.packages import to_install
from portico.tools.tool import Tool
from portico.types import Receive, Scope, Send

if TYPE_CHECKING:
    from portico.tools.endpoint import Endpoint

log = logging.getLogger(__name__)

"""Whether the SDK can be imported beside the event loop. There are no threads in a browser tab."""

OnError = Callable[[BaseException], object]
"""Shows an exception to the author."""

Unknown = Callable[[str], Tool]
"""Makes a tool that says that there is none of that name."""

MISSING = "Agents cannot call it as a tool: that needs the package mcp. {command} brings it."

UNAVAILABLE = -32603
"""JSON-RPC's code for an error of the server's own (JSON-RPC 2.0 §5.1)."""


class ToolServer:
    """Serves *tools* by MCP. One instance belongs to one event loop at a time."""

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        name: str,
        instructions: str = "",
        on_error: OnError | None = None,
        allow_origins: str | Iterable[str] = (),
        stateless: bool = False,
        unknown: Unknown | None = None,
    ) -> None:
        """*name* is what clients are told that they talk to; *instructions* is for the model that calls.

        *on_error* is called with each exception that is none of a tool's own, for the author to see; by default it is
        logged. *allow_origins*: the origins whose pages may call, or ``"*"``, where it stands alone: none where the app
        that it is a part of says so for all of its routes. Credentials of browsers are never allowed.

        *stateless*: nothing is remembered of a client between its requests, so that any process may answer each; see
        `portico.tools.handshake`. *unknown* makes a tool for a name that is none of *tools*, to say so in a result;
        by default that is an error of the protocol.
        """
        self.name = name
        self.instructions = instructions
        self.tools: dict[str, Tool] = {tool.name: tool for tool in tools}
        self._on_error = on_error or _log
        self._stateless = stateless
        self._unknown = unknown
        self._origins = Origins(allow_origins, "mcp-session-id, mcp-protocol-version, x-request-id, retry-after")
        self._endpoint: Endpoint | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def remarks(self) -> list[str]:
        """What the author should be told: that there is no MCP here, for want of the SDK."""
        if importlib.util.find_spec("mcp") is not None:
            return []
        return [MISSING.format(command=to_install("functions", "mcp"))]

    def replace(self, tools: Iterable[Tool]) -> None:
        """Serve *tools* in place of the present ones, from the next request on, and tell clients that listen.

        May be called from any thread.
        """
        self.tools = {tool.name: tool for tool in tools}
        endpoint, loop = self._endpoint, self._loop
        if endpoint is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(endpoint.changed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the block lasts. What clients have open ends with it."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """End what clients have open: streams, sessions, calls. A request that comes later begins anew."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0). Its path does not matter."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "There is no WebSocket here."})
            return
        exchange = Exchange(scope, receive, send, self._origins.headers(scope))
        try:
            if scope["method"] == "OPTIONS":
                await self._preflight(exchange)
            else:
                await self._answer(exchange)
        except OSError:  # what send() raises then (ASGI, "Send")
            log.debug("The client left during %s", exchange.id)

    async def _answer(self, exchange: Exchange) -> None:
        endpoint = self._endpoint
        if endpoint is None or self._loop is not asyncio.get_running_loop():
            try:
                endpoint = await self._open()
            except Exception as error:  # noqa: BLE001 -- any package that the SDK imports may be broken; it is told
                self._on_error(error)
                await _unavailable(exchange, error)
                return
        await endpoint.answer(exchange)

    async def _preflight(self, exchange: Exchange) -> None:
        granted = self._origins.preflight(exchange.scope, b"GET, POST, DELETE, OPTIONS")
        await exchange.head(204, [(b"allow", b"GET, POST, DELETE, OPTIONS"), *granted])
        await exchange.end()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _open(self) -> Endpoint:
        # Always: it may be half imported, by another thread, for which the loop would wait.
        await in_thread(importlib.import_module, "portico.tools.endpoint")
        from portico.tools.endpoint import Endpoint

        if self._endpoint is None or self._loop is not asyncio.get_running_loop():  # else another client was faster
            self._loop = asyncio.get_running_loop()
            self._endpoint = Endpoint(
                lambda: self.tools,
                self.name,
                self.instructions,
                self._on_error,
                stateless=self._stateless,
                unknown=self._unknown,
            )
        return self._endpoint


async def _unavailable(exchange: Exchange, error: Exception) -> None:
    if isinstance(error, ImportError):
        message = f"There are no tools here: the package mcp cannot be imported ({error})."
    else:
        message = f"There are no tools here: the package mcp cannot be used ({type(error).__name__})."
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": UNAVAILABLE, "message": message[:500]}}
    await exchange.json(body, 501)


def _log(error: BaseException) -> None:
    log.error("A tool could not be called", exc_info=error)
