"""A relay in this process, for one workspace, on this machine alone: ``portico serve`` without a server.

The app's link to it is a pair in memory; only its visitors come by a port. Nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from portico.errors import InvalidOption, LinkClosed
from portico.protocol import Limits
from portico.provider.dial import Dial
from portico.provider.discovery import HubAddress
from portico.transports.memory import pair
from portico.transports.transport import Transport

if TYPE_CHECKING:
    from portico.relay.server import RelayServer

WORKSPACE = "local"
_PORT = 8000
_LIFETIME = 10 * 365 * 86400.0  # seconds, of the token: as long as any process
_LAST_WORDS = 1  # seconds for visitors' connections to close, once the app has taken its leave
_SCOPES = ("publish:*", "keys", "manage")


@contextlib.asynccontextmanager
async def embedded(host: str, port: int | None) -> AsyncIterator[tuple[HubAddress, Dial]]:
    """Run a relay on the running loop; gives its address, and the way to it that leads through memory.

    *port* None: 8000, or any that is free. Raises `InvalidOption` when the port cannot be had.
    """
    try:
        from portico.relay.config import RelayConfig
        from portico.relay.relay import Relay
        from portico.relay.server import RelayServer
    except ImportError as error:
        raise InvalidOption(
            f"serving without --server-url needs the relay's own libraries ({error.name}): "
            "pip install 'portico[relay]', or name a server"
        ) from None

    class OwnServer(RelayServer):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are the command's

    listening = _bind(host, port)
    bound = listening.getsockname()[1]
    relay = Relay(RelayConfig(paths=True, host=host, port=bound, data_dir=":memory:"))
    server = OwnServer(relay)
    running = asyncio.get_running_loop().create_task(server.serve([listening]))
    try:
        await _started(server, running)
        token, _ = await relay.state.tokens.mint(
            user_id=WORKSPACE, workspace=WORKSPACE, scopes=_SCOPES, lifetime=_LIFETIME, label="portico serve"
        )

        async def dial(address: HubAddress, limits: Limits) -> Transport:
            near, far = pair()
            relay.state.links.accept(far)
            return near

        url = relay.state.config.base_url + "/"
        yield HubAddress(url, token, "this process", workspace=WORKSPACE, own=True), dial
    finally:
        server.config.timeout_graceful_shutdown = _LAST_WORDS
        server.should_exit = True
        await asyncio.wait([running])
        listening.close()


async def _started(server: RelayServer, running: asyncio.Task[None]) -> None:
    while not server.started:  # uvicorn says it nowhere else
        done, _ = await asyncio.wait([running], timeout=0.005)
        if done:
            await running
            raise LinkClosed("the embedded relay could not start")


def _bind(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in [port] if port is not None else [_PORT, 0]:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, wanted))
        except OSError as error:
            listening.close()
            if port is None and wanted and error.errno == errno.EADDRINUSE:
                continue
            raise InvalidOption(f"{host}:{wanted} cannot be listened on: {error.strerror or error}") from None
        return listening
    raise InvalidOption(f"no port of {host} is free")
