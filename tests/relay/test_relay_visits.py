"""A provider in this process, a relay in another: what is served here is answered there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, WebSocket

import portico
from portico.provider.service import Service
from tests.live_relay import RelayProcess

app = FastAPI()


@app.get("/hello")
def hello(name: str = "you") -> dict[str, str]:
    return {"hello": name}


@app.post("/size")
async def size(body: dict[str, str]) -> dict[str, int]:
    return {"size": len(body["text"])}


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


@pytest.fixture(scope="module")
def cat(relay: RelayProcess) -> Iterator[Service]:
    service = portico.serve(app, "cat", access="public", hub=relay.url, token=relay.token())
    yield service
    service.stop()


def test_a_service_is_answered_under_its_workspace(relay: RelayProcess, cat: Service) -> None:
    assert cat.url == relay.service_url("cat")
    assert httpx.get(cat.url + "hello?name=ada").json() == {"hello": "ada"}
    assert httpx.post(cat.url + "size", json={"text": "x" * 300_000}).json() == {"size": 300_000}
    assert httpx.get(cat.url + "docs").status_code == 200


def test_a_key_opens_what_is_private(relay: RelayProcess) -> None:
    service = portico.serve(app, "den", hub=relay.url, token=relay.token())
    try:
        assert httpx.get(service.url + "hello").status_code == 401
        key = service.key("1m")
        answer = httpx.get(service.url + "hello", headers={"Authorization": f"Bearer {key}"})
        assert answer.json() == {"hello": "you"}
        page = httpx.get(service.url + "hello", headers={"Accept": "text/html"})
        assert page.status_code == 302
    finally:
        service.stop()
