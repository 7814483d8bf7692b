"""A real Jupyter server, and a real Chromium that visits it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser import chromium
from tests.live_jupyter import ROOT, JupyterServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not chromium.PATH:
        skip = pytest.mark.skip(reason="no chromium here: apt-get install chromium")
        for item in items:
            if "tests/browser/" in item.nodeid:
                item.add_marker(skip)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A Jupyter server of the browser tests' own, with a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    server = JupyterServer(folder, root=folder / "notebooks").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A module's, not the session's: Playwright keeps an event loop running in this thread, where others want theirs.
    expect.set_options(timeout=chromium.SHOWN_WITHIN)
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    with chromium.visitor(browser, viewport={"width": 1280, "height": 1000}) as context:
        yield context
