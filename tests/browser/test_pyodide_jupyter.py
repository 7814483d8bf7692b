"""Python in a page of a Jupyter server, under Pyodide: it links to that server by the page's own session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import Error as PageError
from websockets.sync.client import connect

from tests import live_tab
from tests.browser import chromium
from tests.live_jupyter import JupyterServer

pytestmark = pytest.mark.timeout(120)

APP = Path(__file__).with_name("tab_app.py").read_text("utf-8")


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[str]:
    with live_tab.site(bundle) as site:
        yield site


@pytest.fixture(scope="module")
def context(browser: Browser, server: JupyterServer) -> Iterator[BrowserContext]:
    """A browser that has signed in to Jupyter."""
    with chromium.visitor(browser) as context:
        page = context.new_page()
        page.goto(f"{server.url}tree?token={server.token}")
        page.close()
        yield context


def load(page: Page, site: str) -> None:
    """Bring Python into a page of whichever server."""
    page.evaluate("async site => { window.run = await (await import(site + 'page.js')).start(); }", site)
    live_tab.run(page, "import portico\n" + APP)


@pytest.fixture(scope="module")
def tab(context: BrowserContext, server: JupyterServer, site: str) -> Iterator[Page]:
    page = context.new_page()
    page.goto(server.url + "login")
    load(page, site)
    yield page
    page.close()


def serve(tab: Page, name: str, more: str = "") -> str:
    live_tab.run(tab, f"service = await portico.serve(app, {name!r}{more})")
    return live_tab.run(tab, "service.url")


@pytest.fixture
def visitor(server: JupyterServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"token {server.token}"}
    with httpx.Client(headers=headers, timeout=20, trust_env=False) as client:
        yield client


def test_a_page_serves_by_its_session(tab: Page, server: JupyterServer, visitor: httpx.Client) -> None:
    url = serve(tab, "in-page")
    assert url == server.url + "portico/apps/in-page/"
    assert httpx.get(url, trust_env=False).status_code == 401
    assert visitor.get(url).json() == {"hello": "you"}
    assert visitor.post(url + "digest", content=b"x" * 100_000).json()["size"] == 100_000
    visitor.get(url + "remember?what=this")
    assert visitor.get(url + "remember").json() == {"before": "this"}
    with visitor.stream("GET", url + "events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: first"
        visitor.post(url + "go")
        assert [line for line in lines if line] == ["data: last"]
    key = {"Authorization": f"token {server.token}"}
    with connect(url.replace("http", "ws", 1) + "echo", additional_headers=key, proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(10) == "hello"


def test_it_has_its_url_back_when_it_is_loaded_again(tab: Page, site: str, visitor: httpx.Client) -> None:
    url = serve(tab, "loaded-again")
    tab.reload()
    load(tab, site)
    assert serve(tab, "loaded-again") == url
    assert visitor.get(url).json() == {"hello": "you"}


def test_connect_to_server(tab: Page, server: JupyterServer, visitor: httpx.Client) -> None:
    live_tab.run(tab, "there = await portico.connect_to_server({'server_url': %r})" % server.url)  # noqa: UP031
    live_tab.run(tab, "svc = await there.register_service({'id': 'cat', 'type': 'asgi', 'serve': app})")
    address = "f\"{there.config.public_base_url}/{there.config.workspace}/apps/{svc['id'].split(':')[1]}\""
    assert visitor.get(live_tab.run(tab, address), follow_redirects=True).json() == {"hello": "you"}


def test_a_page_of_another_origin_cannot(
    context: BrowserContext, server: JupyterServer, site: str, visitor: httpx.Client
) -> None:
    """Its browser sends the session's cookie all the same: to a cookie another port is the same site."""
    page = context.new_page()
    page.goto(site)
    page.wait_for_function("() => window.run !== undefined", polling=50)
    live_tab.run(page, "import portico\n" + APP)
    with pytest.raises(PageError, match="this token may not publish here"):
        serve(page, "forged", f", hub={server.url!r}")
    names = [entry["name"] for entry in visitor.get(server.url + "portico/api/services").json()["services"]]
    assert "forged" not in names
    page.close()
