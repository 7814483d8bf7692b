"""A WebSocket that comes while its provider has lost its link waits, and is let in once that is back: on both edges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaits
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.scripts import Script
from tests.integration.tcp_proxy import TCPProxy
from tests.integration.visit import new_id
from tests.live_jupyter import TOKEN, JupyterServer
from tests.live_relay import RelayProcess
from tests.waiting import eventually

A_MOMENT = 0.3  # seconds in which a refusal would have come long ago


@dataclass
class Edge:
    """A hub, and a way to it that can be cut."""

    url: str
    models: str
    token: str
    way: TCPProxy

    def forget(self, name: str) -> None:
        """Take a service down whose provider is away, so that nobody after this finds it in a list."""
        httpx.delete(f"{self.api}services/{name}", headers={"Authorization": f"Bearer {self.token}"})

    def status(self, name: str) -> str:
        """The service's, as the hub lists it."""
        answer = httpx.get(f"{self.api}services/{name}", headers={"Authorization": f"Bearer {self.token}"})
        return str(answer.json()["status"])

    @property
    def api(self) -> str:
        return f"{self.url}portico/api/"


@pytest.fixture(params=["jupyter", "relay"])
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    if request.param == "jupyter":
        server: JupyterServer = request.getfixturevalue("jupyter_server")
        with TCPProxy(server.port) as way:
            yield Edge(server.url, f"{server.url}portico/v1/", TOKEN, way)
        return
    relay = RelayProcess(tmp_path).start()
    with TCPProxy(relay.port) as way:
        yield Edge(relay.url, f"{relay.config.models_url('alice')}/", relay.token(), way)
    relay.stop()


def dial(url: str) -> ClientConnection:
    return connect(url.replace("http", "ws", 1), proxy=None, open_timeout=30)


@pytest.mark.parametrize("where", ["app", "models"])
def test_it_waits_and_is_let_in(edge: Edge, where: str) -> None:
    name = new_id()
    app, options = (
        ("tests.integration.apps:raw", {}) if where == "app" else ("tests.integration.apps:parrot", {"chat": True})
    )
    with Script(edge.way.url, app, name=name, access="public", token=edge.token, **options) as script:
        hub_url = script.url.replace(f":{edge.way.port}/", f":{edge.url.rsplit(':', 1)[1]}")
        edge.way.cut()
        eventually(lambda: edge.status(name) == "reconnecting", 10)
        with ThreadPoolExecutor() as pool:
            answered: Future[str] = (
                pool.submit(_ask_app, hub_url) if where == "app" else pool.submit(_ask_model, edge, name)
            )
            with pytest.raises(StillWaits):
                answered.result(A_MOMENT)
            edge.way.mend()
            assert answered.result(30) == "hello"
    edge.forget(name)


def _ask_app(url: str) -> str:
    with dial(url) as socket:
        socket.send("hello")
        return str(socket.recv(30))


def _ask_model(edge: Edge, name: str) -> str:
    with dial(f"{edge.models}responses") as socket:
        socket.send(json.dumps({"type": "response.create", "model": f"{name}/parrot", "input": "hello"}))
        while True:
            event = json.loads(socket.recv(30))
            assert event["type"] != "error", event
            if event["type"] == "response.completed":
                return str(event["response"]["output"][0]["content"][0]["text"])


def test_it_waits_no_longer_than_its_service_is_there(edge: Edge) -> None:
    name = new_id()
    with Script(edge.way.url, "tests.integration.apps:raw", name=name, access="public", token=edge.token) as script:
        hub_url = script.url.replace(f":{edge.way.port}/", f":{edge.url.rsplit(':', 1)[1]}")
        edge.way.cut()
        eventually(lambda: edge.status(name) == "reconnecting", 10)
        with ThreadPoolExecutor() as pool:
            answered = pool.submit(_ask_app, hub_url)
            with pytest.raises(StillWaits):
                answered.result(A_MOMENT)
            gone = httpx.delete(f"{edge.api}services/{name}", headers={"Authorization": f"Bearer {edge.token}"})
            assert gone.status_code == 204
            with pytest.raises(InvalidStatus) as refused:
                answered.result(30)
            assert refused.value.response.status_code == 404
