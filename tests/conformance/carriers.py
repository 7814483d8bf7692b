"""What carries a visitor's bytes to the app. A carrier is made by a factory here; every case runs through each.

To plug one in, write a function that takes the `pytest.FixtureRequest` of the session (so that it can ask for
session-scoped fixtures by name), returns a context manager that yields a `Carrier`, and enter it into `CARRIERS`.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from tests.conformance.app import App, Receive, Scope, Send, make_app
from tests.live_jupyter import JupyterServer


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


ORACLES: dict[str, Factory] = {"uvicorn": uvicorn_httptools, "uvicorn-h11": uvicorn_h11}
"""A case is compared with uvicorn on httptools, its default, or with uvicorn on h11 where httptools refuses what is
legal (a method that it does not know)."""

CARRIERS: dict[str, Factory] = {
    "portico-jupyter": portico_in_jupyter,
    "uvicorn-mounted": uvicorn_mounted,
    "uvicorn-h11": uvicorn_h11,
}
