"""What a service's provider is asked: by real servers, by a relay that is hostile, and by nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from portico.hub.answers import Answer as Refusal
from portico.hub.asking import SECONDS
from portico.hub.descriptor import Principal
from portico.link import Link
from portico.protocol import Limits, ResetCode
from portico.protocol.control import FEATURE, SERVICE
from portico.protocol.events import Open, Reset, Unregister
from portico.protocol.offer import ToolList
from portico.provider.dial import dial_websocket
from portico.provider.discovery import HubAddress, find_relay
from portico.provider.options import conditions
from portico.provider.provider import Provider as RealProvider
from portico.provider.sharing import make
from portico.provider.thread import LoopThread
from portico.relay.config import RelayConfig
from portico.relay.relay import Relay
from portico.relay.server import RelayServer
from portico.transports.transport import Transport
from tests.in_process import Asked, a_hub
from tests.link_pair import open_stream
from tests.live_jupyter import TOKEN, JupyterServer, Kernel
from tests.provider.published import saying, service
from tests.security.conftest import Served, make_key
from tests.security.provider import Provider
from tests.security.relays import Place, Site, bearer
from tests.security.visitor import Answer, Login, ask, upgrade
from tests.waiting import until

SECRET = "a line that only its author may read"
OWN = {"Authorization": f"token {TOKEN}"}

CHATTY = f"""
import portico
async def chatty(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("not here")
    print({SECRET!r})
    if scope["path"].endswith("/fails"):
        raise ValueError("it is wrong")
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"said"}})
served = portico.serve(chatty, "chatty")
"""


@pytest.fixture(scope="module")
def chatty(jupyter_server: JupyterServer) -> Iterator[Kernel]:
    kernel = jupyter_server.kernel("chatty.ipynb")
    kernel.execute(CHATTY).check()
    assert ask(jupyter_server, "portico/apps/chatty/", headers=OWN).body == b"said"
    assert ask(jupyter_server, "portico/apps/chatty/fails", headers=OWN).status == 500
    yield kernel
    kernel.shutdown()


# --- a Jupyter server -------------------------------------------------------------------------------------------


def test_the_servers_user_reads_a_kernels_log(jupyter_server: JupyterServer, chatty: Kernel, login: Login) -> None:
    for headers in (OWN, {"Cookie": login.cookie}):
        answer = ask(jupyter_server, "portico/api/services/chatty/log", headers=headers)
        assert answer.status == 200
        assert answer.one("content-type") == "application/json"
        assert answer.one("cache-control") == "no-store"
        entries = answer.json()["entries"]
        assert [entry["text"] for entry in entries if entry["kind"] == "output"] == [f"{SECRET}\n"] * 2
        (error,) = (entry["text"] for entry in entries if entry["kind"] == "error")
        assert error.startswith("GET /portico/apps/chatty/fails\n")
        assert "ValueError: it is wrong" in error
    last = answer.json()["next"]
    newer = ask(jupyter_server, f"portico/api/services/chatty/log?after={last - 1}&limit=1", headers=OWN).json()
    assert [entry["number"] for entry in newer["entries"]] == [last]
    assert ask(jupyter_server, "portico/api/services/chatty/tools", headers=OWN).json() == {"tools": [], "digest": ""}
    assert ask(jupyter_server, "portico/api/services/chatty/log?after=x", headers=OWN).status == 400


def test_nobody_else_does(
    jupyter_server: JupyterServer, chatty: Kernel, served: Served, wrong: dict[str, dict[str, str]], login: Login
) -> None:
    key, _ = make_key(jupyter_server, "chatty")
    its_own = chatty.execute("import os; print(os.environ['PORTICO_HUB_TOKEN'])").check().text.strip()
    others = {"a key for it": bearer(key), "its kernel's own": bearer(its_own), "another kernel": bearer(served.token)}
    for what, headers in [*wrong.items(), *others.items()]:
        for path in ("log", "tools"):
            answer = ask(jupyter_server, f"portico/api/services/chatty/{path}", headers=headers)
            assert answer.status in (401, 403), (what, path)
            assert SECRET.encode() not in answer.body
        answer = ask(jupyter_server, "portico/api/services/chatty/stop", "POST", headers, b"")
        assert answer.status in (401, 403), what
    forged = {"Cookie": login.cookie, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert ask(jupyter_server, "portico/api/services/chatty/stop", "POST", forged, b"").status in (403, 404)
    assert ask(jupyter_server, "portico/apps/chatty/", headers=OWN).body == b"said"


def test_no_service_is_no_log(jupyter_server: JupyterServer) -> None:
    for name in ("no-such", ".control", "%2econtrol", "chatty%26service%3decho-private", "..", "%00"):
        answer = ask(jupyter_server, f"portico/api/services/{name}/log", headers=OWN)
        assert answer.status == 404, name


def test_the_card_says_who_stopped_it(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    kernel.execute(CHATTY.replace('"chatty"', '"stopped"')).check()
    assert ask(jupyter_server, "portico/api/services/stopped/stop", "POST", OWN, b"").status == 204
    said = json.loads(kernel.execute("import json; print(json.dumps([served.status, served.error]))").check().text)
    assert said[0] == "stopped"
    assert said[1].startswith("user:owner stopped it at http://")
    assert ask(jupyter_server, "portico/api/services/stopped", headers=OWN).status == 404


def test_a_reader_who_leaves_and_a_provider_that_says_nothing_cost_the_server_nothing(
    jupyter_server: JupyterServer,
) -> None:
    provider = Provider(jupyter_server, TOKEN, features=(FEATURE,))
    assert provider.register(name="silent").ok
    target = f"{jupyter_server.base}portico/api/services/silent/log"
    with socket.create_connection(("127.0.0.1", jupyter_server.port), timeout=10) as reader:
        head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{jupyter_server.port}\r\nAuthorization: token {TOKEN}\r\n\r\n"
        reader.sendall(head.encode())
        opened = provider.hears(Open)
        assert (opened.service, opened.headers, opened.client) == (SERVICE, [], None)
        assert json.loads(opened.identity) == {"asker": "user:owner"}
        reader.shutdown(socket.SHUT_RDWR)
    left = time.monotonic()
    reset = provider.hears(Reset)
    assert time.monotonic() - left < SECONDS / 2, "it did not wait until an answer would have come too late"
    assert (reset.stream_id, reset.code) == (opened.stream_id, ResetCode.CANCEL)
    begun = time.monotonic()
    answer = ask(jupyter_server, "portico/api/services/silent/log", headers=OWN)
    assert (answer.status, answer.json()["error"]["code"]) == (504, "provider_timeout")
    assert time.monotonic() - begun < 2 * SECONDS
    shown = ask(jupyter_server, "portico/api/services/silent", headers=OWN).json()
    assert (shown["requests"], shown["in_flight"]) == (0, 0)
    provider.socket.close()


def test_an_older_program_is_told_of_and_stopped_all_the_same(jupyter_server: JupyterServer) -> None:
    provider = Provider(jupyter_server, TOKEN)
    assert provider.register(name="older").ok
    answer = ask(jupyter_server, "portico/api/services/older/log", headers=OWN)
    assert (answer.status, answer.json()["error"]["code"]) == (501, "cannot_ask")
    assert ask(jupyter_server, "portico/api/services/older/stop", "POST", OWN, b"").status == 204
    assert provider.hears(Unregister).name == "older"
    provider.socket.close()


def test_who_may_only_read_reads_no_log(tmp_path: Path) -> None:
    server = JupyterServer(tmp_path, "--ServerApp.authorizer_class=tests.security.read_only.ReadOnly").start()
    try:
        kernel = server.kernel()
        kernel.execute(CHATTY).check()
        assert ask(server, "portico/api/services/chatty", headers=OWN).status == 200
        for path in ("log", "tools"):
            assert ask(server, f"portico/api/services/chatty/{path}", headers=OWN).status == 403
        assert ask(server, "portico/api/services/chatty/stop", "POST", OWN, b"").status == 403
        kernel.shutdown()
    finally:
        server.stop()


# --- the name, from outside -------------------------------------------------------------------------------------

NAMES = [
    ".control",
    "%2econtrol",
    "%2Econtrol",
    ".CONTROL",
    "%2e%63ontrol",
    "./.control",
    ".control%00",
    "%252econtrol",
]


def _same(one: Answer, other: Answer, names: tuple[str, str]) -> None:
    """Of two names that are not there."""
    kept = [
        (answer.status, answer.body.replace(name.encode(), b""))
        for answer, name in zip((one, other), names, strict=True)
    ]
    assert kept[0] == kept[1]
    assert SECRET.encode() not in kept[0][1]


@pytest.mark.parametrize("name", NAMES)
def test_a_visitor_of_a_jupyter_server_reaches_no_such_name(
    jupyter_server: JupyterServer, chatty: Kernel, key: str, name: str
) -> None:
    for headers in (OWN, bearer(key), {}):
        for path in ("log?service=chatty", "status", "stop?service=chatty", ""):
            for method in ("GET", "POST"):
                body = b"" if method == "POST" else None
                answer = ask(jupyter_server, f"portico/apps/{name}/{path}", method, headers, body)
                other = ask(jupyter_server, f"portico/apps/no-such/{path}", method, headers, body)
                assert answer.status in (400, 401, 403, 404)
                if name == ".control":
                    _same(answer, other, (".control", "no-such"))
                assert SECRET.encode() not in answer.body
    assert upgrade(jupyter_server, f"portico/apps/{name}/log?service=chatty", OWN).status in (400, 401, 403, 404)
    assert ask(jupyter_server, "portico/apps/chatty/", headers=OWN).body == b"said", "nobody stopped it"


@pytest.mark.parametrize("model", [".control", ".control/log", "%2econtrol/log", ".control/secret_model"])
def test_no_model_has_the_name(jupyter_server: JupyterServer, served: Served, model: str) -> None:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
    headers = OWN | {"Content-Type": "application/json"}
    answer = ask(jupyter_server, "portico/v1/chat/completions", "POST", headers, body)
    assert answer.status == 404
    assert ask(jupyter_server, f"portico/v1/models/{model}", headers=OWN).status == 404


@pytest.mark.parametrize("name", [".control", ".CONTROL", "%2econtrol", "*.control"])
def test_no_key_opens_the_name(jupyter_server: JupyterServer, served: Served, name: str) -> None:
    body = json.dumps({"services": [name]}).encode()
    for headers in (OWN, bearer(served.token)):
        answer = ask(jupyter_server, "portico/api/keys", "POST", headers, body)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_services")


def test_a_visitor_of_a_relay_reaches_no_such_name(site: Site) -> None:
    echo = site.app("echo-public")
    for name in NAMES:
        if site.by_host:
            places = [Place(site.relay.port, host=echo.host.replace("echo-public", name))]
        else:
            places = [Place(site.relay.port, echo.base.replace("echo-public", name))]
        for place in places:
            for path in ("status", "share?service=echo-public", "stop?service=echo-public"):
                for method in ("GET", "POST"):
                    answer = ask(place, path, method, {}, b"" if method == "POST" else None)
                    assert answer.status in (400, 401, 403, 404, 421), (name, path)
                    assert b'"expires"' not in answer.body
    token = bearer(site.tenant.own_token)
    minted = ask(site.own, "portico/api/keys", "POST", token, json.dumps({"services": [".control"]}).encode())
    assert (minted.status, minted.json()["error"]["code"]) == (400, "invalid_services")
    for path in ("log", "tools", "stop"):
        for method in ("GET", "POST"):
            answer = ask(site.own, f"portico/api/services/echo-public/{path}", method, token, b"")
            assert answer.status == 404, "a relay has no such calls"
    assert ask(echo, "").status == 200


# --- a relay that is hostile ------------------------------------------------------------------------------------

PATHS = ["log", "schemas", "status", "share", "stop", "", "tools", "env", "files/etc/passwd", "../log", "log/", "%6cog"]
QUERIES = [{}, *({"service": name} for name in ("link", "cat", "dog", ".control", "*", "..", ""))]
HOME = HubAddress("http://hub.test/", "the-hubs-own-token", "the test", own=True)


class Hostile(RelayServer):
    """A real relay in this process, so that the test holds the ends of its links."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def hostile_relay() -> AsyncIterator[tuple[Relay, str]]:
    """The relay, and a provider's token for it."""
    listening = socket.create_server(("127.0.0.1", 0))
    relay = Relay(RelayConfig(paths=True, host="127.0.0.1", port=listening.getsockname()[1], data_dir=":memory:"))
    server = Hostile(relay)
    running = asyncio.create_task(server.serve([listening]))
    try:
        await until(lambda: server.started)
        token, _ = await relay.state.tokens.mint(
            user_id="local", workspace="local", scopes=("publish:*",), lifetime=600, label="the test"
        )
        yield relay, token
    finally:
        server.should_exit = True
        await running
        listening.close()


async def _ask(link: Link, method: str, path: str, query: dict[str, str]) -> tuple[int, bytes]:
    asked: dict[str, Any] = {
        "service": SERVICE,
        "method": method,
        "raw_path": b"/" + path.encode(),
        "query": urlencode(query).encode(),
        "headers": [(b"authorization", b"token x"), (b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "identity": b'{"asker": "user:owner", "own": true}',
    }
    handler = open_stream(link, Asked(), **asked)
    assert await handler.ended == "whole"
    assert handler.head is not None
    return handler.head.status, handler.body


def test_a_relay_that_opens_such_streams_by_itself_learns_of_its_own_share_alone() -> None:
    """Over a real link, whatever it asks and by whatever method: the status, the expiry, and to stop it."""

    async def work() -> None:
        async with a_hub() as home, hostile_relay() as (relay, token):

            async def dial(address: HubAddress, limits: Limits) -> Transport:
                return await (home.dial if address == HOME else dial_websocket)(address, limits)

            provider = RealProvider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
            cat = await provider.publish(service(provider, "cat"), saying(b"cat"), HOME)
            dog = await provider.publish(service(provider, "dog"), saying(b"dog"), HOME)
            where = find_relay(relay.state.config.base_url, token, environ={})
            shared = await provider.share(make(cat, where, name="link", conditions=conditions(expires="1h")))
            cat.log.printed(SECRET)
            cat.tools = ToolList.of({"shared_tool": {"type": "object"}})
            dog.tools = ToolList.of({"secret_tool": {"type": "object"}})
            (session,) = relay.state.workspaces.get("local").registry.sessions.values()
            link = session.link
            assert link is not None
            told = {"name": "link", "status": "live", "expires": shared.expires}
            for method, path, query in itertools.product(("GET", "POST", "HEAD", "OPTIONS"), PATHS, QUERIES):
                name = query.get("service")
                if (method, path, name) == ("POST", "stop", "link"):
                    continue
                status, body = await _ask(link, method, path, query)
                for secret in (SECRET, "cat", "dog", "secret_tool"):
                    assert secret.encode() not in body, (method, path, query)
                if method == "GET" and path == "status":
                    assert (status, json.loads(body)) == (200, {"services": [told]})
                elif (method, path, name) == ("GET", "share", "link"):
                    assert (status, json.loads(body)) == (200, told)
                elif (method, path, name) == ("GET", "schemas", "link"):  # its visitors may call them
                    assert status == 200
                    assert [one["name"] for one in json.loads(body)["tools"]] == ["shared_tool"]
                elif path == "log":
                    assert status == 403
                else:
                    assert status in (400, 404, 405)
            assert (cat.status, shared.status, home.names) == ("live", "live", {"cat", "dog"})
            status, body = await _ask(link, "POST", "stop", {"service": "link"})
            assert (status, json.loads(body)) == (200, told | {"status": "stopped"})
            assert (cat.status, shared.status, home.names) == ("live", "stopped", {"cat", "dog"})
            await provider.shutdown()

    asyncio.run(work())  # a relay reads its store as it starts


def test_a_relays_own_calls_are_answered_the_same() -> None:
    """What its hub would ask for a user, too: the code is there, and the provider refuses to show its log."""

    async def work() -> None:
        async with hostile_relay() as (relay, token):
            provider = RealProvider(thread=LoopThread.adopt(asyncio.get_running_loop()))
            where = find_relay(relay.state.config.base_url, token, environ={})
            cat = await provider.publish(service(provider, "cat"), saying(b"cat"), where)
            cat.log.printed(SECRET)
            cat.tools = ToolList.of({"shared_tool": {"type": "object"}})
            control = relay.state.workspaces.get("local").control
            with pytest.raises(Refusal) as refused:
                await control.log(Principal(id="user:local"), "cat", {})
            assert (refused.value.status, refused.value.code) == (403, "not_own_hub")
            told = json.loads(await control.tools(Principal(id="user:local"), "cat", {}))
            assert [one["name"] for one in told["tools"]] == ["shared_tool"]  # of what is served there, and no more
            await provider.shutdown()

    asyncio.run(work())  # a relay reads its store as it starts
