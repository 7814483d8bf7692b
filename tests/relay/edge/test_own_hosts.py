"""A relay answers under its own hosts alone: another name may be a page's that leads to the relay (DNS rebinding)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import portico
from portico.errors import InvalidOption, Refused
from portico.relay.config import RelayConfig
from portico.relay.edge.own_hosts import OwnHosts
from tests.live_relay import RelayProcess
from tests.relay.raw_visitors import app, reached

HERE = ("127.0.0.1", 8000)
LAN = ("192.168.1.7", 8000)


def answers(named: str, server: tuple[str, int | None] | None = HERE, /, **settings: Any) -> bool:
    config = RelayConfig.load({"paths": not settings.get("domain"), **settings}, environ={})
    hosts = OwnHosts(config)
    return [hosts.answers(named, server) for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "localhost.", "cat.localhost:1", "127.0.0.1", "127.0.0.1:8000"),
        *("127.9.9.9", "[::1]", "[::1]:8000", "[0:0::1]", "[::ffff:127.0.0.1]", "localhost:", " localhost "),
    ],
)
def test_on_this_machine(host: str) -> None:
    assert answers(host)
    assert answers(host, ("172.17.0.2", 8000), host="0.0.0.0"), "behind a published port of a container"
    assert not answers(host, LAN, host="192.168.1.7"), "it does not listen there"


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost"),
        *("evil.example.", "192.168.1.7", "8.8.8.8", "[2001:db8::1]", "notlocalhost", "localhost@evil.example"),
        *(
            "evil.example@localhost",
            "localhost/evil",
            "localhost:80:80",
            "localhost:x",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
        ),
        *(
            "localhost evil",
            "localhost,evil.example",
            "loc\xe4lhost",
            "[::1].evil.example",
            "[localhost]",
            "::1",
            "localhost..",
        ),
    ],
)
def test_another_is_not_answered(host: str) -> None:
    for settings in (
        {},
        {"host": "0.0.0.0"},
        {"base_url": "https://share.example.org"},
        {"domain": "share.example.org"},
    ):
        assert not answers(host, **settings), settings


def test_the_public_name_and_more() -> None:
    public = {"base_url": "https://Share.Example.org"}
    for host in ("share.example.org", "SHARE.example.org.", "share.example.org:443", "share.example.org:8443"):
        assert answers(host, **public)
    assert not answers("cat.share.example.org", **public)
    assert not answers("example.org", **public)
    assert answers("cat--alice.share.example.org", domain="share.example.org")
    assert answers("share.example.org", domain="share.example.org", base_url="https://login.example.org")
    assert answers("login.example.org", domain="share.example.org", base_url="https://login.example.org")
    more = {"allowed_hosts": "relay, *.lan.example, 10.0.0.9, [2001:db8::9]"}
    for host in ("relay:8000", "Relay", "a.lan.example", "a.b.lan.example", "10.0.0.9:80", "[2001:db8::9]"):
        assert answers(host, **more)
    for host in ("relay.evil.example", "lan.example", "evil-lan.example", "10.0.0.8"):
        assert not answers(host, **more)
    assert answers("any.example", allowed_hosts="*")


def test_the_address_that_the_visitor_came_to() -> None:
    assert answers("192.168.1.7:8000", LAN, host="0.0.0.0")
    assert answers("192.168.1.7", ("::ffff:192.168.1.7", 8000), host="::")
    assert answers("[2001:db8::1]:8000", ("2001:db8::1", 8000), host="::")
    assert not answers("192.168.1.8", LAN, host="0.0.0.0")
    assert not answers("box.evil.example", LAN, host="0.0.0.0")
    assert answers("0.0.0.0:8000", host="0.0.0.0"), "the URL that a server says it listens on"
    assert answers("localhost", ("/run/relay", None), uds="/run/relay")


@pytest.mark.parametrize(
    "value", ["relay:8000", "http://relay", "*evil", "a b", "*.", "*.*", "[::1", "re\xe9lay", "a..b"]
)
def test_what_is_no_host_name_is_no_setting(value: str) -> None:
    with pytest.raises(InvalidOption, match=r"allowed-hosts: .* is no host name: write it as relay\.example\.org"):
        RelayConfig.load({"paths": True, "allowed_hosts": value}, environ={})


# --- every way in -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    relay = RelayProcess(tmp_path_factory.mktemp("relay"), anonymous=True).start()
    service = portico.serve(app, "cat", access="public", hub=relay.url, token=relay.token())
    yield relay
    service.stop()
    relay.stop()


PATHS = (
    *("", "healthz", "readyz", "metrics", "nowhere", "alice/apps/cat/", "alice/apps/gone/", "alice/v1/models"),
    *("portico/login", "portico/account", "portico/admin", "portico/device", "portico/api/me", "portico/api/services"),
    *("portico/link", "alice/apps/cat/.portico/login"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_page_is_answered_under_another_name(relay: RelayProcess, path: str, method: str) -> None:
    reached.clear()
    for given in ({}, {"X-Forwarded-Host": f"127.0.0.1:{relay.port}"}, {"Authorization": f"Bearer {relay.token()}"}):
        answer = httpx.request(method, relay.url + path, headers={"Host": f"evil.example:{relay.port}", **given})
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "host")
        assert "base_url" in answer.json()["error"]["message"]
        assert "set-cookie" not in answer.headers
    assert reached == []
    if method == "GET":
        page = httpx.get(relay.url + path, headers={"Host": "evil.example", "Accept": "text/html"})
        assert (page.status_code, page.headers["content-type"]) == (421, "text/html; charset=utf-8")
        assert httpx.get(f"http://localhost:{relay.port}/{path}").status_code != 421


@pytest.mark.parametrize("path", ["portico/link", "alice/apps/cat/", "alice/v1/responses", "nowhere"])
def test_no_websocket_is_opened_under_another_name(relay: RelayProcess, path: str) -> None:
    async def dial() -> None:
        url = f"ws://evil.example:{relay.port}/{path}"
        async with connect(url, host="127.0.0.1", port=relay.port, proxy=None, subprotocols=["portico.1"]):  # type: ignore[list-item]
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(dial())
    assert refused.value.response.status_code == 421


def test_the_absolute_form_is_no_way_round(relay: RelayProcess) -> None:
    url = f"http://127.0.0.1:{relay.port}/"
    for target in (b"http://evil.example/alice/apps/cat/", b"http://127.0.0.1/alice/apps/cat/"):
        with httpx.Client() as client:
            request = client.build_request("GET", url, headers={"Host": "evil.example"}, extensions={"target": target})
            answer = client.send(request)
        assert answer.status_code == (421 if b"evil" in target else 400)


def test_a_request_without_host_is_a_programs(relay: RelayProcess) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), 10) as visitor:
        visitor.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert visitor.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


def test_a_provider_is_told_what_to_do(tmp_path: Path) -> None:
    """One that dials by a name that leads to the relay, and that the relay does not know."""
    name = socket.gethostname()
    relay = RelayProcess(tmp_path, host="0.0.0.0")
    try:
        socket.create_server((name, 0)).close()
    except OSError:
        pytest.skip("the name of this machine does not lead to it")
    relay.start()
    given = {"hub": f"http://{name}:{relay.port}/", "token": relay.token()}
    try:
        with pytest.raises(Refused, match=r"421: the server does not answer under that host name.*allowed_hosts"):
            portico.serve(app, "dog", **given)
        relay.stop()
        relay.flags["allowed_hosts"] = name
        relay.start()
        portico.serve(app, "dog", **given).stop()
    finally:
        relay.stop()


def test_what_is_turned_away_is_in_the_log(relay: RelayProcess, tmp_path: Path) -> None:
    other = RelayProcess(tmp_path).start()
    httpx.get(other.url + "healthz", headers={"Host": "evil.example"})
    other.stop()
    assert "421 GET evil.example /healthz" in other.log.read_text()
