"""Pages of frameworks that write their own addresses, or keep something for each visitor: below a path, by a relay.

One test of each framework is in `make test`; other ways to serve the same ones are in `make test-real`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests import environments
from tests.browser import chromium
from tests.live_jupyter import ROOT
from tests.live_relay import RelayProcess

pytestmark = [
    pytest.mark.skipif(not chromium.PATH, reason="no chromium here: apt-get install chromium"),
    pytest.mark.timeout(400),  # the first of them installs the packages
]

HERE = Path(__file__).resolve().parent

Serve = Callable[[str], str]


@pytest.fixture
def serve(relay: RelayProcess, tmp_path: Path) -> Iterator[Serve]:
    """Serves one of program.py's frameworks; returns its URL."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text("[browser]\ngatherUsageStats = false\n")
    python = environments.python("frameworks", HERE / "requirements.txt")
    with ExitStack() as stack:

        def start(framework: str) -> str:
            log = stack.enter_context((tmp_path / "log").open("wb"))
            process = stack.enter_context(
                subprocess.Popen(
                    [python, HERE / "program.py", framework, relay.url],
                    env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PORTICO_TOKEN": relay.token()},
                    cwd=tmp_path,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
            )
            assert process.stdin is not None
            assert process.stdout is not None
            stack.callback(process.stdin.close)
            url = process.stdout.readline().decode().strip()
            assert url, (tmp_path / "log").read_text()
            return url

        yield start


@pytest.fixture
def page() -> Iterator[Page]:
    expect.set_options(timeout=chromium.SHOWN_WITHIN)
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        with chromium.visitor(browser) as visitor:
            yield visitor.new_page()
        browser.close()


def ask(page: Page, answer: str = "answered 1") -> None:
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text(answer)).to_be_visible()


@pytest.mark.parametrize("framework", ["dash", pytest.param("dash_in_flask", marks=pytest.mark.real)])
def test_dash_with_routes_of_its_own(serve: Serve, page: Page, framework: str) -> None:
    url = serve(framework)
    page.goto(f"{url}dash/")
    expect(page.get_by_role("heading")).to_have_text("Hello")
    ask(page)
    assert page.get_by_text("again").get_attribute("href") == urlsplit(url).path + "dash/"


def test_nicegui_keeps_what_each_visitor_stores(serve: Serve, page: Page) -> None:
    url = serve("nicegui")
    page.goto(url)
    expect(page.get_by_text("Hello 1")).to_be_visible()
    ask(page)
    page.reload()
    expect(page.get_by_text("Hello 2")).to_be_visible()


@pytest.mark.real
def test_nicegui_in_an_app_of_the_authors(serve: Serve, page: Page) -> None:
    page.goto(serve("nicegui_in_fastapi"))
    expect(page.get_by_text("Hello 1")).to_be_visible()
    ask(page)


def test_streamlit(serve: Serve, page: Page) -> None:
    page.goto(serve("streamlit"))
    expect(page.get_by_text("Hello")).to_be_visible()
    ask(page)


def test_panel_in_fastapi(serve: Serve, page: Page) -> None:
    url = serve("panel")
    with page.expect_console_message(lambda message: "document idle" in message.text):  # Bokeh has rendered it
        page.goto(f"{url}page")
    expect(page.get_by_text("Hello").first).to_be_visible()
    ask(page)  # at once: its server answers in several messages, beside others that it sends


def test_datasette_and_its_links(serve: Serve, page: Page) -> None:
    url = serve("datasette")
    page.goto(url)
    page.get_by_role("link", name="_memory").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("_memory")
    assert page.url == f"{url}_memory"
    page.goto(f"{url}things/things?_facet=kind")
    expect(page.get_by_role("link", name="kind 1").first).to_be_visible()
    links = {urljoin(page.url, link.get_attribute("href") or "") for link in page.get_by_role("link").all()}
    own = [link for link in links if link.startswith(url)]
    assert len(own) > 5
    for link in own:
        assert page.request.get(link).ok, link
    page.get_by_role("link", name="kind 1").first.click()
    expect(page.get_by_text("4 rows")).to_be_visible()
    page.goto(f"{url}-/versions.json")
    expect(page.get_by_text("datasette")).to_be_visible()
