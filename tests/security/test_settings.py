"""What an administrator may set, and a server that asks for no token at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from portico.protocol import SUBPROTOCOL
from portico.protocol.events import GoAway, Welcome
from tests.live_jupyter import TOKEN, JupyterServer
from tests.security.provider import Provider, dial, until_closed
from tests.security.visitor import ask, upgrade


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    server = JupyterServer(
        tmp_path_factory.mktemp("strict"),
        "--PorticoApp.allowed_access=private",
        "--PorticoApp.allowed_access=key",
        "--PorticoApp.max_key_lifetime=3600",
        "--PorticoApp.max_keys=3",
        "--PorticoApp.hello_timeout=0.2",
        "--PorticoApp.data_dir=:memory:",
    ).start()
    yield server
    server.stop()


def test_what_is_not_allowed_is_refused_with_a_reason(strict: JupyterServer) -> None:
    provider = Provider(strict, TOKEN)
    assert isinstance(provider.answer, Welcome)
    refused = provider.register(name="cat", access="public")
    assert (refused.ok, refused.code) == (False, "access")
    assert "administrator" in refused.error
    assert provider.register(name="cat", access="key").ok
    provider.socket.close()


def test_keys_last_so_long_and_are_so_many(strict: JupyterServer) -> None:
    kernel = strict.kernel()
    out = kernel.execute(
        """
import json, os, urllib.error, urllib.request
import portico
from tests.in_process import echo
service = portico.serve(echo, "kernels")
for expires in (3601, 3600, 60, 60, 60):
    try:
        service.key(expires)
        print("made")
    except portico.PorticoError as error:
        print(type(error).__name__, error)
"""
    ).check()
    lines = out.text.strip().splitlines()
    assert "3600" in lines[0]
    assert lines[1:4] == ["made"] * 3
    assert "as many keys" in lines[4]
    kernel.shutdown()


def test_a_link_that_says_nothing_is_closed(strict: JupyterServer) -> None:
    assert "no HELLO" in until_closed(dial(strict))


@pytest.mark.parametrize("message", [b"x" * 9000, b"\0" * 4, "text"], ids=["long", "no-frame", "text"])
def test_what_is_no_hello_is_refused(message: str | bytes, strict: JupyterServer) -> None:
    socket = dial(strict)
    socket.send(message)
    assert until_closed(socket)


@pytest.mark.parametrize("token", ["", "wrong", "a.b.c", "x\r\nHost: y", "日本"])
def test_a_wrong_token_is_told_so(token: str, strict: JupyterServer) -> None:
    answer = Provider(strict, token).answer
    assert isinstance(answer, GoAway)
    assert "token" in answer.reason


def test_a_session_is_not_taken_over(strict: JupyterServer) -> None:
    kernel = strict.kernel()
    token = kernel.execute("import os; print(os.environ['PORTICO_HUB_TOKEN'])").check().text.strip()
    first = Provider(strict, token, session="a" * 32)
    assert first.register(name="mine").ok
    for thief in (Provider(strict, TOKEN, session="a" * 32, epoch=9), Provider(strict, token, "a" * 32, epoch=1)):
        assert isinstance(thief.answer, GoAway)
    assert first.register(name="mine", title="Still mine").ok
    assert strict.api("GET", "portico/api/services/mine")["title"] == "Still mine"
    first.socket.close()
    kernel.shutdown()


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Asks for nothing: whoever reaches it is its user."""
    server = JupyterServer(tmp_path_factory.mktemp("open"), token="").start()
    yield server
    server.stop()


def test_another_origins_page_publishes_nothing_on_a_server_without_a_token(open_server: JupyterServer) -> None:
    """Else any page on the web could put a script on Jupyter's own origin."""
    hello = [("Sec-WebSocket-Protocol", SUBPROTOCOL)]
    own = f"http://127.0.0.1:{open_server.port}"
    assert upgrade(open_server, "portico/link", [*hello, ("Origin", "https://evil.example")]).status == 403
    assert upgrade(open_server, "portico/link", [*hello, ("Origin", "null")]).status == 403
    assert upgrade(open_server, "portico/link", [*hello, ("Origin", own)]).status == 101
    provider = Provider(open_server, "")
    assert provider.register(name="cat").ok
    assert upgrade(open_server, "portico/apps/cat/", [("Origin", "https://evil.example")]).status == 403
    assert ask(open_server, "portico/apps/cat/", "POST", {"Origin": "https://evil.example"}, b"x").status == 403
    body = json.dumps({"services": ["cat"]}).encode()
    assert ask(open_server, "portico/api/keys", "POST", {"Origin": "https://evil.example"}, body).status == 404
    provider.socket.close()


def test_keys_outlive_the_server(tmp_path: Path) -> None:
    server = JupyterServer(tmp_path).start()
    kept = server.api("POST", "portico/api/keys", {"services": ["cat"]})
    gone = server.api("POST", "portico/api/keys", {"services": ["cat"]})
    server.api("DELETE", f"portico/api/keys/{gone['id']}")
    server.stop()
    server.start()
    try:
        for made, status in ((kept, 404), (gone, 401)):  # there is no cat any more, and who may know is told so
            answer = ask(server, "portico/apps/cat/", headers={"Authorization": f"Bearer {made['key']}"})
            assert answer.status == status
        listed = {key["id"]: key["revoked"] for key in server.api("GET", "portico/api/keys")["keys"]}
        assert listed == {kept["id"]: False, gone["id"]: True}
    finally:
        server.stop()
