"""The part of a relay that people and programs sign in to, under a real uvicorn, with real workspaces behind it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from argon2 import PasswordHasher

from portico.hub.visits import Visits
from portico.relay.config import RelayConfig
from portico.relay.control import ControlApp
from portico.relay.people.accounts import Account, Accounts
from portico.relay.people.tokens import TokenRing
from portico.relay.store import RelayStore
from portico.relay.workspaces import Workspaces
from tests.in_process import Door, Publisher
from tests.transports.recorder import run

PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


class AccountsRelay:
    """Alice and bob have accounts; root is an admin."""

    def __init__(self, socket_: socket.socket, path: Path | str = ":memory:", **settings: Any) -> None:
        """Blocks: the store is read."""
        self.socket = socket_
        port = socket_.getsockname()[1]
        if settings.get("domain"):
            settings.setdefault("base_url", f"http://{settings['domain']}:{port}")
        self.config = RelayConfig(**{"host": "127.0.0.1", "port": port, "data_dir": ":memory:"} | settings)
        self.store = RelayStore(path)
        self.accounts = Accounts(self.store, hasher=CHEAP)
        self.tokens = TokenRing(self.store)
        self.workspaces = Workspaces(self.config, self.store, self.tokens, lambda name: Door(), Visits())
        self.app = ControlApp(self.config, self.accounts, self.tokens, self.workspaces.open, self.store.secret())
        self.publishers: list[Publisher] = []
        self.address = f"http://127.0.0.1:{port}"

    @property
    def links(self) -> Any:
        return self.workspaces.links

    async def token(self, *scopes: str, user: str = "alice", workspace: str = "", **more: Any) -> str:
        token, _ = await self.tokens.mint(
            user_id=user, workspace=workspace or user, scopes=scopes, lifetime=more.pop("lifetime", 3600), **more
        )
        return token

    async def publish(self, token: str, *names: str) -> Publisher:
        publisher = await Publisher(self, token).connect()  # type: ignore[arg-type]
        for name in names:
            ack = await publisher.register(name)
            assert ack.ok, ack.error
        return publisher

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """A client that keeps cookies and says what browsers say; it follows no redirect."""
        host = self.config.base_url.partition("://")[2]
        said = {"Host": host, "Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
        return httpx.AsyncClient(base_url=self.address, headers=said | headers, timeout=20)

    def program(self, token: str = "") -> httpx.AsyncClient:
        said = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.address, headers=said, timeout=20)

    async def send_form(
        self, browser: httpx.AsyncClient, page: str, action: str, fields: dict[str, str], **headers: str
    ) -> httpx.Response:
        """Load *page*, and send its form to *action* with *fields* beside the hidden ones."""
        got = await browser.get(page)
        assert got.status_code < 500, got.text
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', got.text))
        hidden = {name: value.replace("&amp;", "&") for name, value in hidden.items()}
        said = {"Origin": self.config.base_url} | headers
        return await browser.post(action, data=hidden | fields, headers=said)

    async def sign_in(
        self, browser: httpx.AsyncClient, name: str = "alice", page: str = "/portico/login"
    ) -> httpx.Response:
        return await self.send_form(browser, page, "/portico/login", {"name": name, "password": PASSWORD})

    def account(self, name: str = "alice") -> Account:
        account = self.accounts.get(name)
        assert account is not None
        return account


@asynccontextmanager
async def serving(relay: AccountsRelay) -> AsyncIterator[AccountsRelay]:
    for name in ("alice", "bob"):
        await relay.accounts.add(name, PASSWORD)
    await relay.accounts.add("root", PASSWORD, admin=True)
    config = uvicorn.Config(relay.app, lifespan="off", log_config=None, ws="none", server_header=False)
    server = _Server(config)
    serve = asyncio.create_task(server.serve(sockets=[relay.socket]))
    await server.is_up.wait()
    try:
        yield relay
    finally:
        for publisher in relay.publishers:
            publisher.leave()
        await relay.workspaces.stop()
        server.should_exit = True
        await serve


def with_relay(work: Callable[[AccountsRelay], Awaitable[None]], **settings: Any) -> None:
    """Run *work* beside a relay of these settings."""
    relay = AccountsRelay(socket.create_server(("127.0.0.1", 0)), **settings)

    async def inside() -> None:
        async with serving(relay):
            await work(relay)

    run(inside)
