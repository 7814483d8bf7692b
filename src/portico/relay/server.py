"""Runs a relay with uvicorn: its protocols, its log, its signals.

Visitors' connections are `portico.relay.edge.http1`, which builds on what uvicorn keeps to itself. Where that is not as
expected (`portico.relay.edge.uvicorn_internals`), uvicorn's own protocols serve, with h11 for its strictness, and one
line of the log says what is lost by that.

The first SIGTERM or SIGINT drains (`Relay.drain`): ``/readyz`` says no, providers are told to dial anew, and what is
under way may end within `RelayConfig.drain_timeout`. The second one ends at once. Either way the exit status is 0.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType
from typing import Any

import uvicorn

from portico.relay.config import RelayConfig
from portico.relay.edge.uvicorn_internals import missing
from portico.relay.operate.log import AccessLog, configure
from portico.relay.relay import Relay

logger = logging.getLogger(__name__)

_BACKLOG = 4096
_MOST_FILES = 65_536  # of more connections one process could not serve, and some systems' hard limit is a billion
_KEEP_ALIVE = 75  # seconds; longer than the proxies in front keep an idle connection
_LAST_WORDS = 5  # seconds for connections to close once the relay has drained


def server_config(relay: Relay) -> uvicorn.Config:
    """How uvicorn runs *relay*."""
    config = relay.state.config
    http, ws = _protocols(relay)
    return uvicorn.Config(
        relay,
        host=config.host,
        port=config.port,
        uds=config.uds,
        http=http,
        ws=ws,
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


def _protocols(relay: Relay) -> tuple[Any, Any]:
    """The classes, or the names, of what reads HTTP and WebSockets."""
    wrong = missing()
    if not wrong:
        from portico.relay.edge.http1 import VisitorProtocol
        from portico.relay.edge.websocket import SocketProtocol

        return VisitorProtocol.for_edge(relay.edge), SocketProtocol.for_edge(relay.edge)
    logger.warning(
        "uvicorn %s is not as this relay knows it: there is no %s. Plain uvicorn serves: requests are slower, and what "
        "protects against strangers is less. Lost are the time limits for a request's head and for who reads nothing "
        "(header_timeout, write_timeout), and the bounds on connections of one address and on unfinished messages. "
        "Kept are the checks of how requests are framed, and the limits on heads, bodies and messages. Install a "
        "uvicorn that this Portico names, or put a proxy with such limits in front.",
        uvicorn.__version__,
        ", ".join(wrong),
    )
    relay.state.dates = True  # `server_config` has uvicorn say none
    return "h11", "websockets-sansio" if find_spec(SANSIO) is not None else "auto"


SANSIO = "uvicorn.protocols.websockets.websockets_sansio_impl"


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
        for server in self.servers:
            for listening in server.sockets:
                _keep_alive(listening)
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
        # uvicorn's own would raise the signal again in the end, and the process die of it
        if self._loop is None or not self.started:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._signalled)

    def _signalled(self) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain_and_stop())
        elif not self.force_exit:
            logger.warning("stopping at once")
            self.should_exit = self.force_exit = True
            self._draining.cancel()
            self._relay.state.links.close()
            for connection in tuple(self.server_state.connections):
                connection.transport.abort()

    async def _drain_and_stop(self) -> None:
        try:
            await self._relay.drain()
        finally:
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn lets nobody say goodbye then
            await self._relay.stop()


def run(config: RelayConfig, *, on_listening: Callable[[str], None] | None = None) -> None:
    """Run a relay until it is told to stop. Blocks; takes the process's signals."""
    configure(config)
    _allow_connections()
    relay = Relay(config)
    relay.state.access = AccessLog.of(config)
    RelayServer(relay, on_listening=on_listening).run()


def _allow_connections() -> None:
    """Raise the limit of open files as far as this process may: shells begin with 1,024, which two addresses could take
    (`portico.relay.edge.addresses.MOST_CONNECTIONS`)."""
    try:
        import resource
    except ImportError:  # not a Unix
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # macOS has a limit of its own below the hard one
            logger.warning("the limit of open files stays at %d: %s", soft, error)


def _keep_alive(listening: socket.socket) -> None:
    """Let the kernel find out, within two minutes, about visitors that are gone without a word (RFC 1122 §4.2.3.6).

    Who waits on a silent stream or WebSocket would stay for ever. Connections inherit it where these options exist.
    """
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
