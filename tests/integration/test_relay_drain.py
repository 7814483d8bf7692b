"""A relay that is told to stop: what is under way ends by itself, or is told, and nobody is left hanging."""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import portico
from portico.provider.service import Service
from portico.relay.store import RelayStore
from tests.integration import visited_app
from tests.live_relay import RelayProcess
from tests.waiting import eventually

TIMEOUT = httpx.Timeout(30.0)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[tuple[RelayProcess, Service]] = []

    def start(**settings: Any) -> tuple[RelayProcess, Service]:
        relay = RelayProcess(tmp_path, drain_jitter="100ms", **settings).start()
        service = portico.serve(visited_app.app, "cat", access="public", hub=relay.url, token=relay.token())
        started.append((relay, service))
        return relay, service

    yield start
    for relay, service in started:
        service.stop()
        if relay.running:
            relay.stop(signal.SIGKILL)


class Stopping:
    """A relay that is being stopped, by a signal that it has had; its exit status comes later."""

    def __init__(self, relay: RelayProcess) -> None:
        relay.send_signal(signal.SIGTERM)
        self.relay = relay
        while httpx.get(relay.url + "readyz").status_code != 503:
            pass

    def status(self) -> int:
        return self.relay.wait()


def test_what_is_under_way_ends_and_what_comes_is_sent_elsewhere(start: Any) -> None:
    relay, service = start()
    visited_app.closings.clear()
    may_go_on = threading.Event()
    outcome: list[httpx.Response] = []

    def upload() -> None:
        def pieces() -> Iterator[bytes]:
            yield b"x" * 100_000
            may_go_on.wait(20)
            yield b"x" * 100_000

        outcome.append(httpx.post(service.url + "size", content=pieces(), timeout=TIMEOUT))

    uploading = threading.Thread(target=upload)
    uploading.start()
    with (
        httpx.stream("GET", service.url + "events?count=100", timeout=TIMEOUT) as events,
        connect(service.url.replace("http", "ws") + "echo") as echo,
    ):
        received = events.iter_lines()
        assert next(received) == "data: 1"
        echo.send("x")
        assert echo.recv() == "x"
        in_flight(relay, 3)
        stopping = Stopping(relay)
        # the WebSocket is told to come again, and its app too
        with pytest.raises(ConnectionClosed) as closed:
            echo.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        # what comes now is answered at once
        refused = httpx.get(service.url + "hello", timeout=TIMEOUT)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "restarting")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["connection"] == "close"
        assert httpx.get(relay.url + "healthz").status_code == 200
        # the stream and the upload end by themselves
        may_go_on.set()
        lines = [line for line in received if line]
        assert lines[-1] == "data: 100"
    uploading.join(20)
    assert outcome[0].json() == {"size": 200_000}
    assert stopping.status() == 0
    assert visited_app.closings == [1012]


def in_flight(relay: RelayProcess, count: int) -> None:
    """Wait until that many streams are under way."""
    headers = {"Authorization": f"Bearer {relay.token('admin')}"}
    while httpx.get(relay.url + "portico/api/admin", headers=headers).json()["totals"]["streams"] != count:
        pass


def test_a_stream_without_an_end_is_cut_in_the_end(start: Any) -> None:
    relay, service = start(drain_timeout="1s")
    with httpx.stream("GET", service.url + "events", timeout=TIMEOUT) as events:
        received = events.iter_lines()
        assert next(received) == "data: 1"
        relay.send_signal(signal.SIGTERM)
        began = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):  # cut, not ended
            list(received)
    assert relay.wait() == 0
    assert 0.9 < time.monotonic() - began < 5


def test_who_waits_for_a_provider_is_told_at_once(start: Any) -> None:
    relay, service = start(wait_for_provider="30s")
    until_written_down(relay, "cat")
    relay.stop(signal.SIGKILL)
    service.stop()
    relay.start()  # the name is held for a provider that does not come
    with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as visitor:
        visitor.sendall(f"GET {urlsplit(service.url).path}hello HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for _ in range(2):  # these come after it, and are answered before it
            assert httpx.get(relay.url + "healthz").status_code == 200
        assert select.select([visitor], [], [], 0) == ([], [], [])
        relay.send_signal(signal.SIGTERM)
        answer = visitor.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"restarting"' in answer
    assert relay.wait() == 0


def until_written_down(relay: RelayProcess, name: str) -> None:
    """Wait until the relay's database has a name: it is written behind the registration's back."""
    store = RelayStore(relay.config.database)
    eventually(lambda: any(row.name == name for row in store.load_names()), what=f"the relay's note of {name}")
    store.close()


def test_a_second_signal_ends_at_once(start: Any) -> None:
    relay, service = start()
    with httpx.stream("GET", service.url + "events", timeout=TIMEOUT) as events:
        received = events.iter_lines()
        assert next(received) == "data: 1"
        stopping = Stopping(relay)
        began = time.monotonic()
        relay.send_signal(signal.SIGINT)
        assert stopping.status() == 0
        assert time.monotonic() - began < 3
        with pytest.raises(httpx.HTTPError):
            list(received)


def test_an_idle_relay_stops_without_delay(start: Any) -> None:
    relay, _ = start()
    with httpx.Client() as client:  # its connection stays open
        assert client.get(relay.url + "healthz").status_code == 200
        began = time.monotonic()
        relay.send_signal(signal.SIGTERM)
        assert relay.wait() == 0
        assert time.monotonic() - began < 3
