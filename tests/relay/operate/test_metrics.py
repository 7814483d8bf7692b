"""What a relay tells its operator: probes, metrics, the log, and the admin's JSON. A real relay, read from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect
from websockets.typing import Subprotocol

import portico
from portico.protocol import SUBPROTOCOL, Connection, Role
from portico.protocol.events import Hello
from portico.provider.service import Service
from tests.live_relay import RelayProcess
from tests.waiting import eventually

METRICS = "metrics-token-0123456789"
ADMIN = "admin-token-0123456789"

app = FastAPI()


@app.get("/hello")
def hello() -> dict[str, str]:
    return {"hello": "you"}


@app.get("/fail")
def fail() -> None:
    raise RuntimeError("on purpose")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    relay = RelayProcess(
        tmp_path_factory.mktemp("watched"), metrics_token=METRICS, admin_token=ADMIN, log_format="json"
    ).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="module")
def cat(watched: RelayProcess) -> Iterator[Service]:
    service = portico.serve(app, "cat", access="public", hub=watched.url, token=watched.token())
    yield service
    service.stop()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def metrics(relay: RelayProcess) -> dict[tuple[str, str], float]:
    """Of each sample its name and the value of its label."""
    answer = httpx.get(relay.url + "metrics", headers=bearer(METRICS))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_probes(watched: RelayProcess) -> None:
    assert httpx.get(watched.url + "healthz").text == "alive\n"
    assert httpx.get(watched.url + "readyz").text == "ready\n"
    assert httpx.head(watched.url + "readyz").status_code == 200
    assert httpx.post(watched.url + "healthz").status_code == 405


def test_metrics_are_for_who_holds_a_token(watched: RelayProcess, relay: RelayProcess) -> None:
    url = watched.url + "metrics"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bearer("guessed")).status_code == 401
    assert httpx.get(url, headers=bearer(watched.token())).status_code == 403
    assert httpx.get(url, headers=bearer(watched.token("admin"))).status_code == 200
    assert httpx.get(relay.url + "metrics").status_code == 401  # none is configured, and it is not open


def dial_in_vain(relay: RelayProcess) -> None:
    """A provider whose token is no good."""
    connection = Connection(Role.PROVIDER)
    connection.send_hello(Hello(token="no-token", session="0" * 32, epoch=1))
    with connect(relay.url.replace("http", "ws") + "portico/link", subprotocols=[Subprotocol(SUBPROTOCOL)]) as socket:
        socket.send(connection.data_to_send())
        for _ in socket:  # until it is closed
            pass


def test_metrics_count_what_happens(watched: RelayProcess, cat: Service) -> None:
    before = metrics(watched)
    for _ in range(3):
        assert httpx.get(cat.url + "hello").status_code == 200
    assert httpx.get(cat.url + "fail").status_code == 500
    assert httpx.get(watched.service_url("nobody")).status_code == 401
    dial_in_vain(watched)
    with connect(cat.url.replace("http", "ws") + "echo") as socket:
        socket.send("x")
        assert socket.recv() == "x"
        during = metrics(watched)
    assert during["portico_relay_websockets_open", ""] == 1
    assert during["portico_relay_streams", ""] == 1
    assert during["portico_relay_links", ""] == 1
    assert during["portico_relay_services", "live"] == 1
    assert during["portico_relay_workspaces", ""] == 1
    assert during["portico_relay_ready", ""] == 1

    def rose(name: str, label: str = "") -> float:
        return during[name, label] - before.get((name, label), 0.0)

    assert rose("portico_relay_requests_total", "2xx") == 4  # with the reading of them before
    assert rose("portico_relay_requests_total", "5xx") == 1
    assert rose("portico_relay_requests_total", "4xx") == 1
    assert rose("portico_relay_requests_total", "1xx") == 1
    assert rose("portico_relay_own_answers_total", "unauthorized") == 1
    assert rose("portico_relay_websockets_total") == 1
    assert rose("portico_relay_refused_hellos_total") == 1
    assert rose("portico_relay_link_bytes_total", "from_providers") > 0
    assert during["process_resident_memory_bytes", ""] > 0


def test_what_is_the_relays_own_is_on_no_services_host(relay_by_host: RelayProcess) -> None:
    for path in ("healthz", "readyz", "metrics", "portico/admin", "portico/api/admin"):
        url = f"http://127.0.0.1:{relay_by_host.port}/{path}"
        answer = httpx.get(url, headers={"Host": "cat--alice.share.localhost"} | bearer(relay_by_host.token("admin")))
        assert answer.status_code == 401, path
        assert answer.json()["error"]["code"] == "invalid_key", path  # the service's own words


def lines(relay: RelayProcess) -> list[dict[str, object]]:
    """The log so far."""
    return [json.loads(line) for line in relay.log.read_text().splitlines()]


def logged(relay: RelayProcess, path: str) -> dict[str, object]:
    """The line of a request, which may come a moment after it: the relay is asked for others meanwhile."""

    def found() -> list[dict[str, object]]:
        httpx.get(relay.url + "healthz")
        return [line for line in lines(relay) if line.get("path") == path]

    return eventually(found, what=f"the line of {path} in the log")[-1]


def test_the_log_has_a_line_for_each_request_and_no_secret(watched: RelayProcess, cat: Service) -> None:
    key = cat.key("1m")
    secret = "hush-hush-hush"
    httpx.get(
        f"{cat.url}hello?portico_key={key}&password={secret}",
        headers={"Authorization": f"Bearer {key}", "Cookie": f"session={secret}"},
    )
    refused = httpx.get(watched.service_url("no-one") + "?q=1")
    with connect(f"{cat.url.replace('http', 'ws')}echo?portico_key={key}") as socket:
        socket.send("x")
        socket.recv()
    line = logged(watched, "/alice/apps/cat/hello")
    assert (line["method"], line["workspace"], line["service"]) == ("GET", "alice", "cat")
    assert line["host"] == f"127.0.0.1:{watched.port}"
    assert line["client"] == "127.0.0.1"
    assert float(str(line["ms"])) > 0
    line = logged(watched, "/alice/apps/no-one/")
    assert line["status"] == 401
    assert line["request_id"] == refused.headers["x-request-id"]
    assert logged(watched, "/alice/apps/cat/echo")["status"] == 101
    assert any("is linked" in str(line.get("message")) for line in lines(watched))
    text = watched.log.read_text()
    assert secret not in text
    assert "portico_key" not in text
    assert key not in text
    assert "eyJ" not in text


def test_the_log_as_text(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path).start()
    try:
        httpx.get(relay.url + "healthz?token=hush")
        httpx.get(relay.url + "nowhere", headers={"Host": 'quo"te\\ and space'})
    finally:
        assert relay.stop() == 0
    text = relay.log.read_text()
    assert " 200 GET 127.0.0.1:" in text
    assert "hush" not in text
    assert "draining: 0 links" in text
    access = [line for line in text.splitlines() if "portico.relay.access" in line]
    assert [len(line.split()) for line in access] == [11, 11], access


def test_a_quiet_log_has_no_line_for_a_request(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, log_level="warning").start()
    try:
        httpx.get(relay.url + "healthz")
    finally:
        assert relay.stop() == 0
    assert relay.log.read_text() == ""


def test_an_admins_program_sees_and_ends_everything(watched: RelayProcess, cat: Service) -> None:
    url = watched.url + "portico/api/admin"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bearer("guessed")).status_code == 401
    assert httpx.get(url, headers=bearer(watched.token())).status_code == 403
    assert httpx.get(url, headers=bearer(watched.token("admin"))).status_code == 200
    with httpx.Client(base_url=url, headers=bearer(ADMIN)) as client:
        with connect(cat.url.replace("http", "ws") + "echo?secret=1") as socket:
            socket.send("x")
            socket.recv()
            state = client.get(url).json()
        assert [(service["workspace"], service["name"]) for service in state["services"]] == [("alice", "cat")]
        link = state["links"][-1]
        assert (link["who"], link["workspace"], link["services"]) == ("user:alice", "alice", ["cat"])
        assert (link["address"], link["status"]) == ("127.0.0.1", "live")
        assert link["agent"].startswith("portico/")
        stream = next(stream for stream in state["streams"] if stream["kind"] == "websocket")
        assert (stream["path"], stream["service"], stream["link"]) == ("/echo", "cat", link["id"])
        assert "secret" not in json.dumps(state)
        assert client.delete("/links/9999").status_code == 404
        assert client.delete("/services/alice/nobody").status_code == 404
        assert client.patch("/users/nobody", json={"disabled": True}).status_code == 404
        assert client.patch("/users/alice", json={"disabled": "yes"}).status_code == 400
        assert client.delete("/tokens/nobody").status_code == 404


def test_an_admin_ends_a_service_a_link_and_a_token(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, admin_token=ADMIN).start()
    url = relay.url + "portico/api/admin"
    try:
        with httpx.Client(base_url=url, headers=bearer(ADMIN)) as client:
            stopped = portico.serve(app, "stopped", access="public", hub=relay.url, token=relay.token())
            assert client.delete("/services/alice/stopped").status_code == 204
            assert httpx.get(stopped.url + "hello").status_code == 401
            kicked = portico.serve(app, "kicked", access="public", hub=relay.url, token=relay.token())
            link = client.get(url).json()["links"][-1]
            assert link["services"] == ["kicked"]
            assert client.delete(f"/links/{link['id']}").status_code == 204
            assert httpx.get(kicked.url + "hello").status_code == 503  # it is gone, and that is said
            revoked = portico.serve(app, "revoked", access="public", hub=relay.url, token=relay.token())
            link = client.get(url).json()["links"][-1]
            assert client.delete(f"/tokens/{link['token']}").status_code == 204
            assert httpx.get(revoked.url + "hello").status_code == 503
            disabled = portico.serve(app, "disabled", access="public", hub=relay.url, token=relay.token())
            assert httpx.get(disabled.url + "hello").status_code == 200
            assert client.patch("/users/alice", json={"disabled": True}).status_code == 204
            assert httpx.get(disabled.url + "hello").status_code == 503
            assert client.patch("/users/alice", json={"disabled": False}).status_code == 204
    finally:
        relay.stop()
