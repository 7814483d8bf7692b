"""The real JupyterHub: its hub, its OAuth and its single-user server, on loopback. Only its proxy is not run; each path
is sent where the proxy would send it (so what a proxy adds to headers is not tried here).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.live_jupyter import ROOT, JupyterServer, Kernel, free_port
from tests.security.visitor import ask, upgrade
from tests.waiting import eventually

pytest.importorskip("jupyterhub")


@dataclass
class HubUser:
    """A single-user server: what `ask` and `Kernel` need of one."""

    port: int
    base: str
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    def api(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"token {self.token}"}
        answer = httpx.request(method, self.url + path, json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


class HubKernel(Kernel):
    def _connect(self) -> ClientConnection:
        url = f"{self.server.url.replace('http', 'ws', 1)}api/kernels/{self.id}/channels"
        headers = {"Authorization": f"token {self.server.token}"}
        self._manager = connect(url, max_size=None, proxy=None, additional_headers=headers)
        return self._manager.__enter__()


@dataclass
class RunningHub:
    hub_port: int
    user_port: int
    public: str
    api_token: str

    def api(self, method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.hub_port}/hub/api/{path}"
        answer = httpx.request(method, url, json=body, headers={"Authorization": f"token {self.api_token}"}, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def token_of(self, name: str) -> str:
        return str(self.api("POST", f"users/{name}/tokens", {"note": "tests"})["token"])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("jupyterhub")
    running = RunningHub(free_port(), free_port(), f"http://127.0.0.1:{free_port()}/", secrets.token_hex(16))
    env = os.environ | {
        "TEST_PUBLIC_URL": running.public,
        "TEST_HUB_URL": f"http://127.0.0.1:{running.hub_port}",
        "TEST_USER_PORT": str(running.user_port),
        "TEST_API_TOKEN": running.api_token,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "jupyterhub", "-f", str(Path(__file__).with_name("jupyterhub_config.py"))]
    log = folder / "hub.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return bool(running.api("GET", ""))
            except httpx.HTTPError:
                return False

        eventually(answers, 60, "JupyterHub's API")
        for name in ("ada", "eve"):
            running.api("POST", f"users/{name}")
        running.api("POST", "users/ada/server")
        eventually(lambda: running.api("GET", "users/ada")["servers"].get("", {}).get("ready"), 60, log.read_text())
        yield running
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def ada(hub: RunningHub) -> Any:
    """Ada's server, with a kernel in it that serves."""
    user: Any = HubUser(hub.user_port, "/user/ada/", hub.token_of("ada"))
    kernel = HubKernel(user, user.api("POST", "api/kernels", {"name": "python3"})["id"])
    text = kernel.execute(
        """
import portico
from tests.in_process import echo
mine = portico.serve(echo, "mine")
public = portico.serve(echo, "public", access="public")
print(mine.url)
print(mine.key())
"""
    ).check().text  # fmt: skip
    user.service_url, user.key = text.strip().splitlines()[-2:]
    yield user
    kernel.shutdown()


def test_apps_are_under_the_users_own_address(ada: Any) -> None:
    assert urlsplit(ada.service_url).path == "/user/ada/portico/apps/mine/"
    answer = ask(ada, "portico/apps/mine/x", headers={"Authorization": f"Bearer {ada.key}"})
    assert answer.status == 200
    assert answer.json()["root_path"] == "/user/ada/portico/apps/mine"
    elsewhere = JupyterServer(Path("/nowhere"), port=ada.port)
    assert ask(elsewhere, "portico/apps/mine/", headers={"Authorization": f"Bearer {ada.key}"}).status == 404


def test_the_users_token_opens_and_stays_here(ada: Any) -> None:
    for headers in ({"Authorization": f"token {ada.token}"}, {"Authorization": f"Bearer {ada.token}"}):
        for path in ("portico/apps/mine/", "portico/apps/public/"):
            answer = ask(ada, path + "?token=own", headers=headers)
            assert answer.status == 200
            assert answer.json()["identity"]["user"]["id"] == "ada"
            assert ada.token.encode() not in answer.body
            assert answer.json()["query"] == "token=own"
    asked = ask(ada, "portico/api/services", headers={"Authorization": f"token {ada.token}"})
    assert {service["name"] for service in asked.json()["services"]} == {"mine", "public"}


def test_a_token_in_the_query_of_a_websocket_stays_here(ada: Any) -> None:
    """JupyterHub takes one there alone, and only when the browser says that it opens a WebSocket."""
    url = f"ws://127.0.0.1:{ada.port}/user/ada/portico/apps/mine/?a=1&token={ada.token}"
    with connect(url, additional_headers={"Sec-Fetch-Mode": "websocket"}, proxy=None) as socket:
        seen = json.loads(socket.recv(10))
    assert seen["query"] == "a=1"
    assert seen["identity"]["user"]["id"] == "ada"
    assert ask(ada, f"portico/apps/mine/?token={ada.token}").status == 401  # and it was not remembered


def test_another_users_token_opens_nothing_and_reaches_no_app(hub: RunningHub, ada: Any) -> None:
    eve = hub.token_of("eve")
    for token in (eve, "garbage", "a.b.c"):
        assert ask(ada, "portico/apps/mine/", headers={"Authorization": f"token {token}"}).status == 401
        assert ask(ada, "portico/api/services", headers={"Authorization": f"token {token}"}).status == 401
    answer = ask(ada, "portico/apps/public/", headers={"Authorization": f"token {eve}"})
    assert answer.status == 200
    assert eve.encode() not in answer.body
    assert answer.json()["identity"] == {"access": "anonymous"}


class Browser:
    """Keeps cookies, follows redirects, and plays the proxy."""

    def __init__(self, hub: RunningHub) -> None:
        self._hub = hub
        self.client = httpx.Client(timeout=60, headers={"Accept": "text/html"}, trust_env=False)

    def go(self, url: str, method: str = "GET", **more: Any) -> httpx.Response:
        for _ in range(15):
            parts = urlsplit(url)
            port = self._hub.user_port if parts.path.startswith("/user/ada/") else self._hub.hub_port
            target = f"http://127.0.0.1:{port}{parts.path}" + (f"?{parts.query}" if parts.query else "")
            answer = self.client.request(method, target, **more)
            if not answer.is_redirect:
                return answer
            url, method, more = str(answer.url.join(answer.headers["location"])), "GET", {}
        raise AssertionError(f"round and round: {url}")

    def sign_in(self, name: str, page: httpx.Response) -> httpx.Response:
        action = re.search(r'action="([^"]*login[^"]*)"', page.text)
        xsrf = re.search(r'name="_xsrf"\s+value="([^"]*)"', page.text)
        assert action, page.text
        assert xsrf, page.text
        form = {"username": name, "password": "password", "_xsrf": xsrf.group(1)}
        return self.go(action.group(1).replace("&amp;", "&"), "POST", data=form)


@pytest.fixture
def browser(hub: RunningHub) -> Iterator[Browser]:
    browser = Browser(hub)
    yield browser
    browser.client.close()


def test_a_browser_signs_in_at_the_hub_and_comes_back(browser: Browser, ada: Any) -> None:
    page = browser.go("/user/ada/portico/apps/mine/deep?x=1")
    assert "/hub/login" in str(page.url)
    answer = browser.sign_in("ada", page)
    assert answer.status_code == 200, answer.text
    assert str(answer.url).endswith("/user/ada/portico/apps/mine/deep?x=1")
    seen = answer.json()
    assert seen["identity"]["user"]["id"] == "ada"
    # the cookies of the hub: none of them reaches the app
    given = [
        (cookie.name, cookie.value) for cookie in browser.client.cookies.jar if "/user/ada/".startswith(cookie.path)
    ]
    assert any(name.startswith("jupyterhub-user-ada") for name, _ in given)
    sent = "; ".join([f"{name}={value}" for name, value in given] + ["own=1"])
    assert ask(ada, "portico/apps/mine/", headers={"Cookie": sent}).seen("cookie") == ["own=1"]
    # and they speak for ada on her own pages alone
    own, foreign = {"Origin": f"http://127.0.0.1:{ada.port}"}, {"Origin": "https://evil.example"}
    assert ask(ada, "portico/apps/mine/", "POST", {"Cookie": sent} | own, b"x").status == 200
    for extra in (foreign, {}):
        assert ask(ada, "portico/apps/mine/", "POST", {"Cookie": sent} | extra, b"x").status == 403
        assert ask(ada, "portico/api/keys", "POST", {"Cookie": sent} | extra, b"{}").status == 401
        assert upgrade(ada, "portico/apps/mine/", {"Cookie": sent} | extra).status == 403
    assert upgrade(ada, "portico/apps/mine/", {"Cookie": sent} | own).status == 101


def test_another_user_who_signs_in_does_not_come_in(browser: Browser, ada: Any) -> None:
    answer = browser.sign_in("eve", browser.go("/user/ada/portico/apps/mine/"))
    assert answer.status_code == 403
    assert "identity" not in answer.text
