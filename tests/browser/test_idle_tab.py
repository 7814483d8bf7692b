"""A tab that nobody visits stays linked, though its timers stand still: browsers stop those of pages not seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests import live_tab
from tests.browser import chromium
from tests.live_relay import RelayProcess

pytestmark = pytest.mark.timeout(120)

PINGS = 80
"""As many as in 20 minutes, with one after each 15 s of silence."""

PROGRAM = """
import js
import portico

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"still here"}})

await portico.serve(app, "idle", relay={url!r}, token={token!r}, access="public")
js.globalThis.eval("globalThis.setTimeout = globalThis.setInterval = () => 0")
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay that asks after a silent tab every 50 ms, and gives it up after two seconds."""
    relay = RelayProcess(tmp_path, ping_interval="50ms", silence_timeout="2s").start()
    yield relay
    relay.stop()


def only_link(relay: RelayProcess) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {relay.token('admin')}"}
    [link] = httpx.get(relay.url + "portico/api/admin", headers=headers).raise_for_status().json()["links"]
    return dict(link)


def test_an_idle_tab_stays_linked(browser: Browser, bundle: Path, relay: RelayProcess) -> None:
    with live_tab.site(bundle) as site, chromium.visitor(browser) as context:
        page = context.new_page()
        live_tab.open_tab(page, site)
        live_tab.run(page, PROGRAM.format(url=relay.url, token=relay.token()))
        link = only_link(relay)
        long_enough = link["since"] + PINGS * 0.05 + 2 * 2.0
        while time.time() < long_enough:
            assert only_link(relay)["id"] == link["id"]
        assert httpx.get(relay.service_url("idle")).text == "still here"
        assert only_link(relay)["id"] == link["id"]
        page.close()
