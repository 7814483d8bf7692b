"""Who is answered by a server of pipelines, and who may deploy: each rule from near and from afar."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from portico.errors import InvalidOption
from portico.pipelines.server.gate import Gate, may_deploy
from portico.pipelines.settings import PipelinesSettings
from tests.pipelines.serving import AWAY, BEARER, HERE, JSON, KEY, app, ask
from tests.pipelines.test_runs import Echo

UPLOAD = {"name": "n", "files": {"pipeline_wrapper.py": "x"}}
OPEN = {
    ("GET", "status"),
    ("GET", "status/{pipeline_name}"),
    ("GET", "draw/{pipeline_name}"),
    ("POST", "n/run"),
    ("GET", "docs"),
    ("GET", "redoc"),
    ("GET", "openapi.json"),
    ("GET", "static/docs/{file}"),
}
"""What needs no key on loopback. A route that is not here needs one."""


def look(gate: Gate, method: str = "GET", *, place: dict[str, Any] = HERE, **headers: str) -> int | bool:
    """The status of the refusal; or whether the request, which is let in, may deploy."""
    given = {"host": "localhost:1416"} | {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    scope = {"type": "http", "method": method, "headers": pairs, **place}
    refusal = gate.look(scope)
    return refusal.status if refusal is not None else may_deploy(scope)


@pytest.mark.parametrize(
    ("place", "headers", "found"),
    [
        (HERE, {}, False),
        (HERE, BEARER, True),
        (HERE, {"x_api_key": KEY}, True),
        (HERE, {"authorization": "Bearer wrong"}, False),
        (HERE, {"authorization": KEY}, False),
        (HERE, {"authorization": "Basic " + KEY}, False),
        (HERE, {"authorization": "bearer  " + KEY}, True),
        (AWAY, {"host": "192.168.1.7:1416"}, 401),
        (AWAY, {"host": "192.168.1.7:1416", **BEARER}, True),
        (AWAY, {"host": "pipelines:1416", **BEARER}, True),  # a name of a network of containers
        (AWAY, {"host": "pipelines:1416"}, 421),
        (AWAY, {"host": "192.168.1.7:1416", "authorization": "Bearer "}, 401),
        (AWAY, {"host": "192.168.1.7:1416", "authorization": "Bearer ä"}, 401),
        # a proxy on this machine says where a visitor comes from
        ({**HERE, "client": ("203.0.113.9", 0)}, {}, 401),
        ({**HERE, "client": ("unknown", 0)}, {}, 401),
        ({**HERE, "client": None}, {}, 401),
        # so it does on a Unix socket, and before a server that does not read what it says
        ({"server": ("/run/portico.sock", None), "client": None}, {"x_forwarded_for": "203.0.113.9"}, 401),
        ({"server": ("/run/portico.sock", None), "client": None}, {"x_real_ip": "203.0.113.9"}, 401),
        (HERE, {"x_forwarded_for": "203.0.113.9"}, 401),
        (HERE, {"x_forwarded_for": "127.0.0.1, 203.0.113.9"}, 401),
        (HERE, {"x_forwarded_for": "203.0.113.9, 127.0.0.1"}, 401),
        (HERE, {"x_forwarded_for": "testclient"}, 401),
        (HERE, {"x_real_ip": "2001:db8::1"}, 401),
        (HERE, {"forwarded": "for=203.0.113.9;proto=https"}, 401),
        (HERE, {"forwarded": 'proto=http;For="[2001:db8::1]:47"'}, 401),
        (HERE, {"forwarded": "for=127.0.0.1, for=unknown"}, 401),
        (HERE, {"forwarded": "proto=https"}, 401),
        (HERE, {"x_forwarded_for": "203.0.113.9", **BEARER}, True),
        (HERE, {"x_forwarded_for": "127.0.0.1, ::1, ::ffff:127.0.0.1", "x_real_ip": "127.0.0.1:50000"}, False),
        (HERE, {"forwarded": 'for=127.0.0.1, for="[::1]:47";proto=http'}, False),
        ({**HERE, "server": ("::1", 1416), "client": ("::1", 5)}, {"host": "[::1]:1416"}, False),
        ({**HERE, "server": ("::ffff:127.0.0.1", 1), "client": ("::ffff:127.0.0.1", 5)}, {}, False),
        ({"server": ("/run/portico.sock", None), "client": None}, {}, False),
        ({"server": ("testserver", 80), "client": ("testclient", 50000)}, {"host": "testserver"}, False),
    ],
)
def test_off_loopback_a_key_is_needed_and_deploying_needs_it_everywhere(
    place: dict[str, Any], headers: dict[str, str], found: int | bool
) -> None:
    assert look(Gate(KEY), place=place, **headers) == found


def test_each_header_of_proxies_counts() -> None:
    said = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "headers": [(b"host", b"localhost"), *said], **HERE}
    refusal = Gate(KEY).look(scope)
    assert refusal is not None
    assert refusal.status == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:1416", "127.0.0.1.evil.example", "localhost.evil.com", "[::1]evil", "[::1].evil:80"],
)
def test_a_name_that_a_page_has_lead_here_is_refused_with_a_key_too(host: str) -> None:
    assert look(Gate(KEY), host=host) == 421
    assert look(Gate(KEY), host=host, **BEARER) == 421
    assert look(Gate("", no_auth=True), host=host) == 421
    assert look(Gate("", no_auth=True), host=host, place=AWAY) == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1416", "localhost.", "a.localhost", "127.0.0.1", "[::1]:80", ""]
)
def test_its_own_names_and_addresses_are_let_in(host: str) -> None:
    assert look(Gate(KEY), host=host) is False


def test_names_that_its_owner_gave_are_its_own() -> None:
    gate = Gate.of(PipelinesSettings(host="Box", allowed_hosts="pipelines.example.org,*.lan"), KEY)
    for host in ("box:1416", "pipelines.example.org", "PIPELINES.example.org:443", "a.lan", "a.b.lan:1"):
        assert look(gate, host=host) is False, host
    for host in ("example.org", "lan", "evil-lan", "a.pipelines.example.org"):
        assert look(gate, host=host) == 421, host
    assert look(Gate(KEY, hosts=["*"]), host="any.example") is False


def test_several_hosts_are_refused() -> None:
    pairs = [(b"host", b"localhost"), (b"host", b"evil.example")]
    refusal = Gate(KEY).look({"type": "http", "method": "GET", "headers": pairs, **HERE})
    assert refusal is not None
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("method", "headers", "found"),
    [
        ("GET", {"origin": "http://localhost:1416"}, False),
        ("POST", {"origin": "http://localhost:1416"}, False),
        ("GET", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "http://evil.example", **BEARER}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": "http://localhost:3000"}, 403),
        ("POST", {"origin": "http://localhost"}, 403),
        ("GET", {"host": "localhost", "origin": "https://localhost"}, False),  # a proxy ends TLS
        ("GET", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),
        ("GET", {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, 403),
        ("GET", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, False),
        ("POST", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 403),
        ("GET", {"sec_fetch_site": "none"}, False),
        ("POST", {"sec_fetch_site": "same-origin"}, False),
    ],
)
def test_pages_of_other_sites_are_refused(method: str, headers: dict[str, str], found: int | bool) -> None:
    assert look(Gate(KEY), method, **headers) == found


def test_origins_that_its_owner_gave_are_let_in() -> None:
    gate = Gate(KEY, origins=["https://Ui.example/"], origin_pattern=r"https://.*\.example\.org")
    for origin, found in (
        ("https://ui.example", False),
        ("https://a.example.org", False),
        ("http://ui.example", 403),
        ("https://a.example.org.evil.com", 403),
    ):
        assert look(gate, "POST", origin=origin) == found, origin


def test_a_pattern_that_is_none_is_said_at_once() -> None:
    with pytest.raises(InvalidOption, match="no regular expression"):
        Gate(KEY, origin_pattern="https://(")


def test_without_auth_all_is_open_to_programs_and_to_no_page() -> None:
    gate = Gate("", no_auth=True)
    assert look(gate) is True
    assert look(gate, place=AWAY, host="192.168.1.7") is True
    assert look(gate, "POST", origin="http://evil.example") == 403


@pytest.mark.parametrize("gate", [Gate(KEY), Gate(KEY, no_auth=True), Gate("", no_auth=True)])
def test_behind_a_hub_that_has_let_a_visitor_in_deploying_alone_needs_the_key(gate: Gate) -> None:
    behind = {**AWAY, "extensions": {"portico": {"access": "anonymous"}}}
    headers = {"host": "pipelines--team.relay.example", "origin": "https://page.example"}
    assert look(gate, "POST", place=behind, **headers) is False
    assert look(gate, "POST", place=behind, **headers, **BEARER) is (gate._key != b"")


def test_what_an_app_around_it_says_of_deploying_counts_for_nothing() -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "headers": [(b"host", b"localhost")],
        "extensions": {"portico": {"access": "user", "may_deploy": True}},
        **HERE,
    }
    assert Gate(KEY).look(scope) is None
    assert not may_deploy(scope)
    assert scope["extensions"]["portico"] == {"access": "user"}


# --- all routes -----------------------------------------------------------------------------------------------------


def test_every_route_is_behind_the_gate_and_every_route_that_is_not_said_to_be_open_needs_the_key() -> None:
    served = app(n=Echo())

    @served.get("/own")
    async def own() -> str:
        return "mine"

    walked = {(endpoint.method, endpoint.path) for endpoint in served.pipelines.fixed}
    walked |= {(method, path) for path, run in served.pipelines.runs.items() for method in run.methods}
    assert walked > OPEN
    for method, path in walked | {("GET", "own"), ("POST", "v1/chat/completions"), ("GET", "nothing")}:
        at = "/" + path.replace("{pipeline_name}", "n")
        body = UPLOAD if method == "POST" else None
        for place, host in ((AWAY, "192.168.1.7"), (HERE, "evil.example")):
            refused = ask(served, method, at, body, headers={"host": host}, **place)
            assert refused.status == (401 if place is AWAY else 421), at
            assert "detail" in refused.json
        assert ask(served, method, at, body, headers={"origin": "http://evil.example", **BEARER}).status == 403, at
        if (method, path) in walked - OPEN:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}):
                refused = ask(served, method, at, body, headers=headers)
                assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer"), at
    assert ask(served, "GET", "/own").json == "mine"


@pytest.mark.parametrize(
    "path", ["/deploy_files/", "//deploy_files", "/deploy_files//", "/./deploy_files", "/undeploy/n/", "//undeploy/n"]
)
def test_other_spellings_of_a_route_do_not_pass(path: str) -> None:
    assert ask(app(n=Echo()), "POST", path, UPLOAD).status in (401, 404)


def test_middleware_of_the_author_changes_nothing_of_it() -> None:
    served = app(n=Echo())

    @served.middleware("http")
    async def mark(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-mine"] = "yes"
        return response

    assert ask(served, "POST", "/deploy_files", UPLOAD).status == 401
    assert ask(served, "GET", "/status", headers={"host": "evil.example"}).status == 421
    answer = ask(served, "POST", "/n/run", {"text": "a"})
    assert (answer.json, answer.headers["x-mine"]) == ({"result": "aa"}, "yes")


def test_a_websocket_goes_by_the_gate_too() -> None:
    served = app()

    @served.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")

    client = TestClient(served)
    with client.websocket_connect("/talk") as socket:
        assert socket.receive_text() == "hello"
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/talk", headers=headers):
            pass


def test_under_a_test_client_and_below_another_app_it_is_as_on_loopback() -> None:
    served = app(n=Echo())
    around = FastAPI()
    around.mount("/pipelines", served)
    for client, base in ((TestClient(served), ""), (TestClient(around), "/pipelines")):
        assert client.get(f"{base}/status").json()["pipelines"] == ["n"]
        assert client.post(f"{base}/n/run", json={"text": "a"}).json() == {"result": "aa"}
        assert client.post(f"{base}/deploy_files", json=UPLOAD).status_code == 401
    assert TestClient(served, base_url="http://127.0.0.1:1416").get("/status").status_code == 200
    assert TestClient(served, base_url="http://192.168.1.7").get("/status").status_code == 401


@pytest.mark.fuzz
def test_no_head_gets_past_the_rules(fuzz_seconds: float) -> None:
    """Whatever a Host and an Origin hold: who is let in came under a name of the server's own, from its own page."""
    import random
    import time

    chosen = random.Random(11)
    parts = [
        "localhost",
        "127.0.0.1",
        "evil.example",
        ":",
        "[",
        "]",
        "::1",
        "@",
        "/",
        ".",
        "http://",
        "\x85",
        "1416",
        "%",
    ]
    gate = Gate(KEY)
    end = time.monotonic() + fuzz_seconds
    while time.monotonic() < end:
        host, origin = ("".join(chosen.choices(parts, k=chosen.randint(0, 4))) for _ in range(2))
        found = look(gate, host=host, origin=origin)
        assert found in (False, 403, 421)
        if found is False:
            assert not host.rpartition(":")[0].endswith("evil.example"), host
            assert not host.endswith("evil.example"), host
            assert origin.removeprefix("http://").lower() == host.lower() or origin == f"http://{host}:80", origin


def test_a_refusal_reads_no_body() -> None:
    served = app()

    async def unread() -> dict[str, Any]:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/deploy_files", "headers": [(b"host", b"localhost")], **HERE}
    asyncio.run(served({**scope}, unread, send))
    assert sent[0]["status"] == 401
    assert JSON["content-type"].encode() in dict(sent[0]["headers"]).values()
