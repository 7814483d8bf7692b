"""Runs a relay with uvicorn: its protocols, its log, its signals.

The first SIGTERM or SIGINT drains: ``/readyz`` says no, providers are told to dial anew, and what is under way may end
within `RelayConfig.drain_timeout`. The second one ends at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from portico.relay.config import RelayConfig
from portico.relay.relay import Relay
from portico.relay.visitors import VisitorProtocol

_BACKLOG = 4096
_KEEP_ALIVE = 75  # seconds; longer than the proxies in front keep an idle connection
_LAST_WORDS = 5  # seconds for connections to close once the relay has drained


def server_config(relay: Relay) -> uvicorn.Config:
    """How uvicorn runs *relay*."""
    config = relay.config
    return uvicorn.Config(
        relay,
        host=config.host,
        port=config.port,
        uds=config.uds,
        http=VisitorProtocol.for_relay(relay),
        ws="websockets-sansio",
        ws_max_size=max(config.hub.max_websocket_message, config.hub.limits.max_batch),
        ws_ping_interval=None,  # a link asks by itself, and a visitor's WebSocket is the app's to ask
        ws_per_message_deflate=False,
        proxy_headers=False,  # the edge reads them
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_LAST_WORDS,
        lifespan="on",
    )


class RelayServer(uvicorn.Server):
    """A server that drains before it stops."""

    def __init__(self, relay: Relay, *, on_listening: Callable[[str], None] | None = None) -> None:
        """*on_listening* is told the URL of the socket, once it takes connections."""
        super().__init__(server_config(relay))
        self._relay = relay
        self._on_listening = on_listening
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and self._on_listening is not None:
            self._on_listening(self.address())

    def address(self) -> str:
        """Where it listens: ``http://127.0.0.1:8000``, or the path of a Unix domain socket."""
        for server in self.servers:
            for listening in server.sockets:
                name = listening.getsockname()
                if isinstance(name, tuple):
                    host = f"[{name[0]}]" if ":" in name[0] else name[0]
                    return f"http://{host}:{name[1]}"
        return self.config.uds or ""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is not None or self._loop is None or not self.started:
            super().handle_exit(sig, frame)
            return
        self._loop.call_soon_threadsafe(self._drain, sig)

    def _drain(self, sig: int) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain_and_stop(sig))

    async def _drain_and_stop(self, sig: int) -> None:
        try:
            await self._relay.drain()
        finally:
            super().handle_exit(sig, None)


def run(config: RelayConfig, *, on_listening: Callable[[str], None] | None = None) -> None:
    """Run a relay until it is told to stop. Blocks; takes the process's signals."""
    server = RelayServer(Relay(config), on_listening=on_listening)
    server.run()
