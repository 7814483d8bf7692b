"""A whole relay in the test's process, under a real server: visitors speak to its socket, providers to its links."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from portico.relay.config import RelayConfig
from portico.relay.relay import Relay
from portico.relay.server import RelayServer
from tests.in_process import Publisher
from tests.waiting import until

SERVERS = ["the relay's own", "httptools", "h11"]
"""The second and third are uvicorn's, for which the relay is an ASGI app like any other."""


class Line:
    """Of the access log."""

    def __init__(self, method: str, path: bytes, status: int, service: str, request_id: str) -> None:
        self.method, self.path, self.status, self.service, self.request_id = method, path, status, service, request_id


class Lines:
    """An access log that keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[Line] = []

    def add(
        self,
        method: str,
        host: str,
        path: bytes,
        status: int,
        seconds: float,
        workspace: str,
        service: str,
        client: str,
        request_id: str,
    ) -> None:
        self.all.append(Line(method, path, status, service, request_id))

    def flush(self) -> None: ...


class HereRelay:
    """Alice's workspace is there; each kernel is one provider of hers."""

    def __init__(self, relay: Relay, port: int) -> None:
        self.relay, self.port = relay, port
        self.state = relay.state
        self.lines = Lines()
        self.state.access = self.lines
        self.publishers: list[Publisher] = []

    @property
    def links(self) -> Any:
        return self.state.links

    @property
    def visits(self) -> Any:
        return self.state.visits

    async def provider(self) -> Publisher:
        token, _ = await self.state.tokens.mint(
            user_id="alice", workspace="alice", scopes=("publish:*", "manage"), lifetime=600
        )
        return await Publisher(self, token).connect()  # type: ignore[arg-type]

    @property
    def workspace(self) -> Any:
        return self.state.workspaces.get("alice")

    async def visitor(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def a_relay(server: str = SERVERS[0], **settings: Any) -> AsyncIterator[HereRelay]:
    """A relay that runs until the block's end."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = RelayConfig(
        host="127.0.0.1", port=port, data_dir=":memory:", paths=True, base_url=f"http://127.0.0.1:{port}", **settings
    )
    relay = Relay(config)
    if server == SERVERS[0]:
        serving: uvicorn.Server = RelayServer(relay)
    else:
        options = uvicorn.Config(relay, http=server, ws="websockets-sansio", log_config=None, lifespan="on")  # type: ignore[arg-type]
        serving = uvicorn.Server(options)
    serving.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(serving.serve(sockets=[listening]))
    await until(lambda: serving.started)
    here = HereRelay(relay, port)
    await relay.state.accounts.add("alice", "correct horse battery")
    await relay.state.workspaces.open("alice")
    try:
        yield here
    finally:
        for publisher in here.publishers:
            publisher.leave()
            for instance in publisher.apps.values():
                await instance.retire(0)
        serving.should_exit = True
        await running
        listening.close()
