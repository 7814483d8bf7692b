"""What carries a visitor's bytes to the app. A carrier is made by a factory here; every case runs through each.

To plug one in, write a function that takes the `pytest.FixtureRequest` of the session (so that it can ask for
session-scoped fixtures by name), returns a context manager that yields a `Carrier`, and enter it into `CARRIERS`.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from portico.relay.config import variable_of
from tests import live_tab
from tests.browser import chromium
from tests.conformance.app import App, Receive, Scope, Send, make_app
from tests.live_jupyter import JupyterServer
from tests.live_relay import ALICE, RelayProcess


@dataclass(frozen=True)
class Carrier:
    """Where a visitor finds the app, and what the suite must know to compare."""

    name: str
    host: str
    port: int
    prefix: str = ""
    """What stands before the app's own path in the visitor's request target; the app must see it as root_path."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Credentials, added to each of the visitor's requests. The app must not see them."""
    host_name: str = ""
    """By which the visitor calls it, where that tells services apart; else it is called by its address."""

    @property
    def authority(self) -> str:
        """The Host header."""
        return f"{self.host_name or self.host}:{self.port}"


Factory = Callable[[pytest.FixtureRequest], AbstractContextManager[Carrier]]


@contextmanager
def run_uvicorn(app: App, *, http: str) -> Iterator[tuple[str, int]]:
    """`app` under uvicorn in a thread, on a free loopback port."""
    config = uvicorn.Config(
        app,
        http=http,
        ws="websockets-sansio",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),), name=f"uvicorn-{http}")
    # The cases make the app raise: what uvicorn says about it is expected, and is no part of a test's output.
    logger = logging.getLogger("uvicorn")
    logger.setLevel(logging.CRITICAL + 1)
    thread.start()
    try:
        # Connections queue on the listener until the server accepts them, so there is nothing to wait for.
        yield "127.0.0.1", listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


def mounted(app: App, prefix: str) -> App:
    """`app` behind `prefix`, as ASGI has it: root_path says the prefix, path and raw_path keep it."""

    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            assert scope["path"].startswith(prefix)
            scope = {**scope, "root_path": scope["root_path"] + prefix}
        await app(scope, receive, send)

    return mount


@contextmanager
def uvicorn_httptools(_request: pytest.FixtureRequest) -> Iterator[Carrier]:
    with run_uvicorn(make_app(), http="httptools") as (host, port):
        yield Carrier("uvicorn", host, port)


@contextmanager
def uvicorn_h11(_request: pytest.FixtureRequest) -> Iterator[Carrier]:
    with run_uvicorn(make_app(), http="h11") as (host, port):
        yield Carrier("uvicorn-h11", host, port)


@contextmanager
def uvicorn_mounted(_request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """The oracle's own server with the app behind a prefix: nothing may differ, or the suite itself is wrong."""
    prefix = "/portico/apps/conformance"
    with run_uvicorn(mounted(make_app(), prefix), http="httptools") as (host, port):
        yield Carrier("uvicorn-mounted", host, port, prefix=prefix)


_SERVE = """
import portico
from tests.conformance.app import make_app
portico.serve(make_app(), "conformance", access="public")
"""


@contextmanager
def portico_in_jupyter(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """A real Jupyter server; the app is served by a real kernel of it."""
    server: JupyterServer = request.getfixturevalue("jupyter_server")
    kernel = server.kernel()
    try:
        kernel.execute(_SERVE).check()
        yield Carrier("portico-jupyter", "127.0.0.1", server.port, prefix="/portico/apps/conformance")
    finally:
        kernel.shutdown()


_PROVIDE = """
import sys
import portico
from tests.conformance.app import make_app
portico.serve(make_app(), "conformance", access="public", hub=sys.argv[1], token=sys.argv[2])
print("live", flush=True)
sys.stdin.read()
"""


@contextmanager
def provided(relay: RelayProcess) -> Iterator[None]:
    """The app, served to *relay* by a process of its own."""
    command = [sys.executable, "-c", _PROVIDE, f"http://127.0.0.1:{relay.port}/", relay.token()]
    # The cases make the app raise: what Portico says about it is expected, and is no part of a test's output.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as provider:
        assert provider.stdin is not None
        assert provider.stdout is not None
        assert provider.stdout.readline() == b"live\n"
        try:
            yield
        finally:
            provider.stdin.close()


@contextmanager
def portico_relay_by_path(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """A relay that tells services apart by path."""
    relay: RelayProcess = request.getfixturevalue("relay")
    with provided(relay):
        yield Carrier("portico-relay-by-path", "127.0.0.1", relay.port, prefix=f"/{ALICE}/apps/conformance")


@contextmanager
def portico_relay_by_host(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """A relay on which each service has a host name of its own."""
    relay: RelayProcess = request.getfixturevalue("relay_by_host")
    with provided(relay):
        name = f"conformance--{ALICE}.{relay.config.domain}"
        yield Carrier("portico-relay-by-host", "127.0.0.1", relay.port, host_name=name)


@contextmanager
def portico_relay_from_tab(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """A relay; the app runs in a browser tab, under Pyodide."""
    if not chromium.PATH:
        pytest.skip("no chromium here: apt-get install chromium")
    relay: RelayProcess = request.getfixturevalue("relay")
    bundle: Path = request.getfixturevalue("bundle")
    program = request.getfixturevalue("tmp_path_factory").mktemp("tab") / "program.py"
    app = Path(__file__).with_name("app.py").read_text("utf-8")
    program.write_text(
        f"with open('conformance_app.py', 'w') as file:\n    file.write({app!r})\n"
        "import portico\nfrom conformance_app import make_app\n"
        f"await portico.serve(make_app(), 'in-tab', access='public', relay={relay.url!r}, token={relay.token()!r})\n"
    )
    with live_tab.running(bundle, program):
        yield Carrier("portico-relay-from-tab", "127.0.0.1", relay.port, prefix=f"/{ALICE}/apps/in-tab")


class PlainRelay(RelayProcess):
    """A relay as the plain ASGI app that it is, under uvicorn as anyone may run it."""

    def start(self) -> RelayProcess:
        # Connections queue on the listener until the server accepts them, so there is nothing to wait for.
        listener = socket.create_server(("127.0.0.1", self.port))
        fd = listener.fileno()
        command = [sys.executable, "-m", "uvicorn", "portico.relay:create_app", "--factory", "--fd", str(fd)]
        settings = {variable_of(name): str(value) for name, value in self.flags.items()}
        with self.log.open("ab") as log, listener:
            self._process = subprocess.Popen(
                [*command, "--no-proxy-headers"], env=os.environ | settings, stdout=log, stderr=log, pass_fds=(fd,)
            )
        return self


@contextmanager
def portico_relay_as_asgi(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """A relay that tells services apart by path, and knows its server as an ASGI server alone."""
    relay = PlainRelay(request.getfixturevalue("tmp_path_factory").mktemp("relay-as-asgi")).start()
    try:
        with provided(relay):
            yield Carrier("portico-relay-as-asgi", "127.0.0.1", relay.port, prefix=f"/{ALICE}/apps/conformance")
    finally:
        relay.stop()


ORACLES: dict[str, Factory] = {"uvicorn": uvicorn_httptools, "uvicorn-h11": uvicorn_h11}
"""A case is compared with uvicorn on httptools, its default, or with uvicorn on h11 where httptools refuses what is
legal (a method that it does not know)."""

CARRIERS: dict[str, Factory] = {
    "portico-jupyter": portico_in_jupyter,
    "portico-relay-by-path": portico_relay_by_path,
    "portico-relay-by-host": portico_relay_by_host,
    "portico-relay-as-asgi": portico_relay_as_asgi,
    "portico-relay-from-tab": portico_relay_from_tab,
    "uvicorn-mounted": uvicorn_mounted,
    "uvicorn-h11": uvicorn_h11,
}
