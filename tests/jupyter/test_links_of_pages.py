"""A page of the server may link by its session, as Python in a browser tab does; another's page may not."""

from __future__ import annotations

import time
import urllib.request
from http.cookiejar import CookieJar

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from portico.protocol import SUBPROTOCOL, Connection, Role
from portico.protocol.events import Ack, GoAway, Hello, Register, Welcome
from tests.live_jupyter import JupyterServer


@pytest.fixture(scope="module")
def session(jupyter_server: JupyterServer) -> str:
    """The Cookie header of a browser that has signed in."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    browser.open(f"{jupyter_server.url}?token={jupyter_server.token}").close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def link(server: JupyterServer, *, origin: str | None, cookie: str = "", token: str = "", name: str = "") -> str:
    """Say HELLO on a link as a browser opens it: what comes back, ``welcome`` or why not; *name* is registered."""
    connection = Connection(Role.PROVIDER, now=time.monotonic())
    connection.send_hello(Hello(token=token, session=f"session-{time.monotonic_ns()}", epoch=1, agent="t", info={}))
    headers = {"Cookie": cookie} if cookie else {}
    url = server.url.replace("http", "ws", 1) + "portico/link"
    with connect(
        url,
        origin=Origin(origin) if origin is not None else None,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers=headers,
        proxy=None,
        compression=None,
    ) as socket:
        while True:
            while data := connection.data_to_send():
                socket.send(data)
            try:
                message = socket.recv(10)
            except ConnectionClosed as closed:
                return f"closed: {closed}"
            assert isinstance(message, bytes)
            for event in connection.receive_message(message, time.monotonic()):
                if isinstance(event, GoAway):
                    return event.reason
                if isinstance(event, Welcome):
                    if not name:
                        return "welcome"
                    descriptor = {"name": name, "title": "", "kind": "app", "models": [], "access": "private"}
                    connection.send_register(Register(1, {**descriptor, "origins": []}))
                if isinstance(event, Ack):
                    return "registered" if event.ok else event.error


def own(server: JupyterServer) -> str:
    return server.url.rstrip("/")


def test_a_page_of_the_server_links_by_its_session(jupyter_server: JupyterServer, session: str) -> None:
    assert link(jupyter_server, origin=own(jupyter_server), cookie=session) == "welcome"


def test_it_takes_up_its_names_after_a_reload(jupyter_server: JupyterServer, session: str) -> None:
    for _ in range(2):
        found = link(jupyter_server, origin=own(jupyter_server), cookie=session, name="of-a-page")
        assert found == "registered"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "http://localhost:{port}",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1.evil.example:{port}",
        "http://127.0.0.1:{port}@evil.example",
        "ws://127.0.0.1:{port}",
        "http://[",
    ],
)
def test_a_page_of_another_origin_does_not(jupyter_server: JupyterServer, session: str, origin: str | None) -> None:
    given = origin.format(port=jupyter_server.port) if origin is not None else None
    assert "token" in link(jupyter_server, origin=given, cookie=session)


@pytest.mark.parametrize("cookie", ["", "username-127-0-0-1=forged", "_xsrf=1"])
def test_a_page_without_a_session_does_not(jupyter_server: JupyterServer, cookie: str) -> None:
    cookie = cookie.replace("127-0-0-1", f"127-0-0-1-{jupyter_server.port}")
    assert "token" in link(jupyter_server, origin=own(jupyter_server), cookie=cookie)


def test_a_wrong_token_is_not_made_good_by_a_session(jupyter_server: JupyterServer, session: str) -> None:
    assert "token" in link(jupyter_server, origin=own(jupyter_server), cookie=session, token="wrong")


def test_a_kernels_credential_is_what_it_was(jupyter_server: JupyterServer) -> None:
    assert link(jupyter_server, origin="http://elsewhere.example", token=jupyter_server.token) == "welcome"
