"""Python in a page of a Jupyter server, under Pyodide: it links to that server by the page's own session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def load(page: Page, site: str, on: str = "worker") -> None:
    """Bring Python into a page of whichever server: into a worker of it, or the page itself."""
    start = "async ([site, on]) => { window.run = await (await import(site + 'page.js')).start(undefined, on); }"
    page.evaluate(start, [site, on])
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


def test_a_worker_that_is_ended_is_missed_at_once_and_its_name_held(
    tab: Page, site: str, server: JupyterServer, visitor: httpx.Client
) -> None:
    url = serve(tab, "ended")
    # two seconds without a byte would be another exception
    with visitor.stream("GET", url + "endless", timeout=2) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: begun"
        tab.evaluate("window.run.end()")
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert server.api("GET", "portico/api/services/ended")["status"] == "reconnecting"
    load(tab, site)
    assert serve(tab, "ended") == url
    assert visitor.get(url).json() == {"hello": "you"}


def test_connect_to_server(tab: Page, server: JupyterServer, visitor: httpx.Client) -> None:
    live_tab.run(tab, "there = await portico.connect_to_server({'server_url': %r})" % server.url)  # noqa: UP031
    live_tab.run(tab, "svc = await there.register_service({'id': 'cat', 'type': 'asgi', 'serve': app})")
    address = "f\"{there.config.public_base_url}/{there.config.workspace}/apps/{svc['id'].split(':')[1]}\""
    assert visitor.get(live_tab.run(tab, address), follow_redirects=True).json() == {"hello": "you"}


@pytest.fixture
def key_opens(server: JupyterServer) -> Callable[[str, str], bool]:
    """Whether a key opens a service, and the service wants one."""

    def opens(key: str, url: str) -> bool:
        with httpx.Client(timeout=20, trust_env=False) as visitor:
            assert visitor.get(url).status_code == 401
            return visitor.get(url, headers={"Authorization": f"Bearer {key}"}).status_code == 200

    return opens


def test_a_worker_asks_the_control_api_by_the_session_and_changes_it_by_a_token(
    tab: Page, server: JupyterServer, key_opens: Callable[[str, str], bool]
) -> None:
    """What changes something needs Jupyter's _xsrf, which is in a cookie: workers do not see those."""
    live_tab.run(tab, "there = await portico.connect_to_server({'server_url': %r})" % server.url)  # noqa: UP031
    live_tab.run(tab, "await there.register_service({'id': 'of-worker', 'type': 'asgi', 'serve': app})")
    assert "of-worker" in live_tab.run(tab, "[one.name for one in await there.list_services()]")
    for making in ("there.services['of-worker'].key()", "await there.generate_token()"):
        with pytest.raises(PageError, match=r"Refused: Jupyter lets a page's session .* token="):
            live_tab.run(tab, making)
    live_tab.run(tab, "await there.disconnect()")


def test_a_page_makes_keys_by_its_session(
    context: BrowserContext, server: JupyterServer, site: str, key_opens: Callable[[str, str], bool]
) -> None:
    page = context.new_page()
    page.goto(server.url + "login")
    load(page, site, "page")
    url = serve(page, "of-page")
    assert key_opens(live_tab.run(page, "service.key('10m')"), url)
    live_tab.run(page, "import js\nfrom pyodide.ffi import create_proxy\nmade = []")
    live_tab.run(page, "js.Function.new('call', 'call()')(create_proxy(lambda: made.append(service.key())))")
    assert key_opens(live_tab.run(page, "made[0]"), url)
    page.close()


def test_a_page_of_another_origin_makes_keys_with_a_token(
    context: BrowserContext, server: JupyterServer, site: str, key_opens: Callable[[str, str], bool]
) -> None:
    page = context.new_page()
    page.goto(site)
    page.wait_for_function("() => window.run !== undefined", polling=50)
    live_tab.run(page, "import portico\n" + APP)
    url = serve(page, "from-elsewhere", f", hub={server.url!r}, token={server.token!r}")
    assert key_opens(live_tab.run(page, "service.key('10m')"), url)
    page.close()


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
