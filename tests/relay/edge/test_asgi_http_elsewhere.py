"""A relay that another server runs (plain uvicorn, by `portico.relay:create_app`): it refuses what that let through.

The server has read the request by then, so the relay can only refuse to answer it, and have the connection closed.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

import portico
from portico.relay import create_app
from portico.relay.config import RelayConfig
from tests.live_relay import RelayProcess
from tests.relay.edge.test_http1_hostile_visitors import HIDDEN, UPGRADES, post, upgrade
from tests.relay.raw_visitors import HANGS, Visitor, app, head, reached


@pytest.fixture(scope="module", params=["httptools", "h11"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of the relay, which serves the app of `raw_visitors` as ``cat``."""
    accounts = RelayProcess(tmp_path_factory.mktemp("stock"))
    listening = socket.create_server(("127.0.0.1", 0))
    number: int = listening.getsockname()[1]
    relay = create_app(RelayConfig.load({**accounts.flags, "base_url": f"http://127.0.0.1:{number}"}, environ={}))
    http: Any = request.param
    server = uvicorn.Server(uvicorn.Config(relay, http=http, ws="websockets-sansio", log_config=None, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    service = portico.serve(app, "cat", access="public", hub=f"http://127.0.0.1:{number}", token=accounts.token())
    yield number
    service.stop()
    server.should_exit = True
    thread.join(HANGS)
    listening.close()


@pytest.fixture
def visitor(port: int) -> Iterator[Visitor]:
    reached.clear()
    visitor = Visitor(port)
    yield visitor
    visitor.close()


REFUSED: dict[str, bytes] = {
    "an upgrade with a body": head("get", *upgrade(b"x"), b"Content-Length: %d" % len(HIDDEN)),
    "an upgrade with chunks": head("get", *upgrade(b"x"), b"Transfer-Encoding: chunked"),
    "HTTP/2.0": head("get").replace(b"HTTP/1.1", b"HTTP/2.0", 1),
    "two hosts": head("get", b"Host: other.test"),
    "a length with a leading zero": post(b"Content-Length: 05")[: -len(HIDDEN)],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(visitor: Visitor, name: str) -> None:
    visitor.send(REFUSED[name])
    answer = visitor.answer()
    assert answer.status == 400
    assert answer.get("connection") == ["close"]
    visitor.send(HIDDEN)
    assert b"HTTP/1.1 " not in visitor.read_to_end()
    assert reached == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_comes_right_behind_is_not_read(visitor: Visitor, name: str) -> None:
    visitor.send(REFUSED[name] + HIDDEN)
    assert visitor.answer().status == 400
    assert b"HTTP/1.1 " not in visitor.read_to_end()
    assert reached == []


@pytest.mark.parametrize("name", UPGRADES)
def test_a_connection_ends_with_an_upgrade_that_is_not_to_a_websocket(visitor: Visitor, name: str) -> None:
    visitor.send(head("get", *UPGRADES[name]))
    answer = visitor.answer()
    # of several upgrades uvicorn reads the last, and takes it for a WebSocket
    assert answer.status == (426 if name == "twice" else 200)
    assert answer.get("connection") == ["close"]
    visitor.send(HIDDEN)
    assert b"HTTP/1.1 " not in visitor.read_to_end()
    assert "GET /hidden" not in reached
