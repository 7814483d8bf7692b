"""A request that is hidden in another's body, sent through a real nginx: it reaches no app, and nobody gets its answer.

Once with the nginx.conf of docs/deploy, and once with an nginx that lets every upgrade through, as many do: the relay
must hold by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import portico
from portico.provider.service import Service
from tests.live_jupyter import free_port
from tests.live_relay import RelayProcess
from tests.relay.test_server_behind_nginx import DEPLOY, DOMAIN, Nginx, needs_nginx

_WEBSOCKET = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

reached: list[str] = []
"""The paths that came to the apps."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says which path was asked for."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
        return
    path = scope["path"]
    reached.append(path)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": path.encode()})


class AnyUpgrade(Nginx):
    """Passes on what visitors say in Upgrade."""

    def configuration(self) -> str:
        text = (DEPLOY / "nginx.conf").read_text("utf-8")
        narrow = '    default         "";\n    "~*^websocket$" websocket;\n'
        assert narrow in text
        return text.replace(narrow, "    default $http_upgrade;\n")


@pytest.fixture(scope="module")
def other_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """Where the service is at home that is shared by the relay behind nginx."""
    relay = RelayProcess(tmp_path_factory.mktemp("home")).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="module", params=[Nginx, AnyUpgrade])
def nginx(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, other_hub: RelayProcess
) -> Iterator[Nginx]:
    relay = RelayProcess(tmp_path_factory.mktemp("relay"), domain=DOMAIN, port=free_port())
    folder: Path = tmp_path_factory.mktemp("nginx")
    nginx: Nginx = request.param(folder, relay.port)
    relay.flags["base_url"] = nginx.url().rstrip("/")
    relay.start()
    where = {"hub": f"http://127.0.0.1:{relay.port}/", "token": relay.token()}
    services: list[Service] = [
        portico.serve(app, "cat", access="public", **where),
        # one that is shared is shared with its conditions
        portico.serve(app, "home", hub=other_hub.url, token=other_hub.token()),
    ]
    services[1].share(where["hub"], token=where["token"], name="vault", cidr=["10.0.0.0/8"])
    yield nginx
    for service in services:
        service.stop()
    nginx.stop()
    relay.stop()


def hidden(service: str, *fields: bytes) -> bytes:
    lines = [b"GET /hidden HTTP/1.1", f"Host: {service}--alice.{DOMAIN}".encode(), *fields, b"", b""]
    return b"\r\n".join(lines)


ATTACKS = {
    "an upgrade to anything": (b"GET", b"Upgrade: x\r\n", False),
    "by POST": (b"POST", b"Upgrade: x\r\n", False),
    "to HTTP/2": (b"GET", b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", False),
    "to a WebSocket": (b"GET", b"Upgrade: websocket\r\n" + _WEBSOCKET, False),
    "to a WebSocket, in other letters": (b"GET", b"Upgrade: WebSocket\r\n" + _WEBSOCKET, False),
    "to two protocols": (b"GET", b"Upgrade: websocket, x\r\n" + _WEBSOCKET, False),
    "in chunks": (b"GET", b"Upgrade: x\r\n", True),
    "to a WebSocket, in chunks": (b"GET", b"Upgrade: websocket\r\n" + _WEBSOCKET, True),
    "without Upgrade": (b"POST", b"", False),
}


def attack(nginx: Nginx, name: str, body: bytes) -> bytes:
    """What the attacker is answered."""
    method, upgrade, chunked = ATTACKS[name]
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
    head = f" /attack HTTP/1.1\r\nHost: cat--alice.{DOMAIN}\r\nConnection: Upgrade\r\n".encode() + upgrade + framing
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", nginx.port), 10) as plain,
        nginx.trust.wrap_socket(plain, server_hostname=f"cat--alice.{DOMAIN}") as visitor,
    ):
        visitor.settimeout(0.5)  # how long the attacker waits for answers; what follows does not depend on it
        try:
            visitor.sendall(method + head + b"\r\n")
            # a body that comes by itself is one piece for the relay too
            answer += visitor.recv(65536) if not upgrade else b""
        except TimeoutError:
            pass
        try:
            visitor.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
            while data := visitor.recv(65536):
                answer += data
        except OSError:
            pass
    return answer


@needs_nginx
@pytest.mark.parametrize("name", ATTACKS)
def test_another_visitor_gets_their_own_page(nginx: Nginx, name: str) -> None:
    reached.clear()
    with nginx.client() as victim:
        for number in range(4):
            told = attack(nginx, name, hidden("cat"))
            assert b"/hidden" not in told.replace(b"/attack", b"")
            for again in range(2):
                path = f"/victim/{number}/{again}"
                answer = victim.get(nginx.url("cat--alice") + path[1:])
                assert (answer.status_code, answer.text) == (200, path)
                assert b"/victim" not in told
    assert "/hidden" not in reached


@needs_nginx
@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_address_opens_nothing(nginx: Nginx, name: str) -> None:
    reached.clear()
    with nginx.client() as visitor:
        assert visitor.get(nginx.url("vault--alice"), headers={"X-Forwarded-For": "10.1.2.3"}).status_code == 403
        told = attack(nginx, name, hidden("vault", b"X-Forwarded-For: 10.1.2.3"))
        assert b"/hidden" not in told
        # by now the relay has read whatever came before
        assert visitor.get(nginx.url("cat--alice") + "last").text == "/last"
    assert "/hidden" not in reached
