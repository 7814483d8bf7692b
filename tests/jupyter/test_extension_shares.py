"""One who takes all that they may of a Jupyter server's hub leaves room for the others: a real server."""

from __future__ import annotations

import asyncio
import http.client
import secrets
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from portico.hub.control import MOST_READERS
from portico.protocol import SUBPROTOCOL, Connection, Limits, ResetCode, Role
from portico.protocol.events import Event, GoAway, Hello, Welcome
from tests.live_jupyter import TOKEN, JupyterServer
from tests.waiting import eventually

HANGS = 20.0  # seconds that nothing here may take
SILENT = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder: Path = tmp_path_factory.mktemp("shares")
    server = JupyterServer(
        folder, "--PorticoApp.max_links=8", f"--PorticoApp.max_new_links={SILENT}", "--PorticoApp.max_keys=3"
    ).start()
    yield server
    server.stop()


class Dialled:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.connection = Connection(Role.PROVIDER, Limits(), now=0.0)

    async def hello(self, token: str) -> Event:
        self.connection.send_hello(Hello(token=token, session=secrets.token_hex(16), epoch=1))
        await self.socket.send(self.connection.data_to_send())
        return await self.event()

    async def event(self) -> Event:
        async with asyncio.timeout(HANGS):
            message = await self.socket.recv()
        assert isinstance(message, bytes)
        [event] = self.connection.receive_message(message, 0.0)
        return event


async def dial(server: JupyterServer) -> Dialled:
    return Dialled(
        await connect(
            f"ws://127.0.0.1:{server.port}/portico/link",
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            ping_interval=None,
        )
    )


def test_one_user_cannot_take_all_links(server: JupyterServer) -> None:
    kernel = server.kernel()
    credential = kernel.execute("import os; print(os.environ['PORTICO_HUB_TOKEN'])").check().text.strip()

    async def work() -> None:
        links = [await dial(server) for _ in range(4)]
        for link in links[:2]:
            assert isinstance(await link.hello(TOKEN), Welcome)
        refused = await links[2].hello(TOKEN)
        assert isinstance(refused, GoAway)
        assert refused.code is ResetCode.OVERLOAD
        assert "max_links_of_user" in refused.reason
        assert isinstance(await links[3].hello(credential), Welcome)
        await asyncio.gather(*(link.socket.close() for link in links))
        async with asyncio.timeout(HANGS):
            while True:  # the server hears of it in a moment
                again = await dial(server)
                event = await again.hello(TOKEN)
                await again.socket.close()
                if isinstance(event, Welcome):
                    break

    asyncio.run(work())
    kernel.shutdown()


def test_silent_links_keep_no_provider_out(server: JupyterServer) -> None:
    async def work() -> None:
        silent = [await dial(server) for _ in range(30)]
        for link in silent[: 30 - SILENT]:
            event = await link.event()
            assert isinstance(event, GoAway)
            assert event.code is ResetCode.OVERLOAD
        provider = await dial(server)
        assert isinstance(await provider.hello(TOKEN), Welcome)
        await asyncio.gather(*(link.socket.close() for link in [*silent, provider]))

    asyncio.run(work())


def test_one_user_reads_so_many_streams_of_events(server: JupyterServer) -> None:
    def reader() -> tuple[http.client.HTTPConnection, int, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANGS)
        connection.request("GET", "/portico/api/events", headers={"Authorization": f"token {TOKEN}"})
        answer = connection.getresponse()
        return connection, answer.status, answer.getheader("Retry-After")

    with ExitStack() as stack:
        for _ in range(MOST_READERS):
            connection, status, _ = reader()
            stack.enter_context(closing(connection))
            assert status == 200
        connection, status, retry_after = reader()
        stack.enter_context(closing(connection))
        assert status == 429
        assert retry_after is not None
        assert server.api("GET", "portico/api/services") == {"services": []}

    def let_in() -> bool:
        connection, status, _ = reader()
        connection.close()
        return status == 200

    eventually(let_in, HANGS, "room for another")  # the server looks at its readers once a second


def test_one_maker_holds_so_many_keys(server: JupyterServer) -> None:
    for _ in range(3):
        server.api("POST", "portico/api/keys", {"services": ["cat"]})
    with pytest.raises(urllib.error.HTTPError) as raised:
        server.api("POST", "portico/api/keys", {"services": ["cat"]})
    with raised.value as answer:
        assert answer.code == 429
