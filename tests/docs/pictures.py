"""The pictures of pages of relays and functions, of a shared card, of JupyterLite and of exports, in light and dark.

``python -m tests.docs.pictures`` makes them anew: a relay and a Jupyter server run, Chromium visits them. Look at what
has changed before it is committed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import pandas
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pydantic import Field

from tests.browser import chromium
from tests.browser.functions_page import Functions
from tests.browser.functions_served import server_of, serving
from tests.browser.lab import Lab, write
from tests.browser.static_host import StaticHost, export
from tests.docs.pages import DOCS
from tests.lite import site
from tests.lite.page import Notebook, frame
from tests.live_jupyter import ROOT, JupyterServer
from tests.live_relay import ALICE, PASSWORD, RelayProcess
from tests.waiting import eventually

IMAGES = DOCS / "images"
SCHEMES = ("light", "dark")

_SIZE = {"width": 640, "height": 480}

_APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Hello"})
"""

_CELLS = (
    "%load_ext portico\nfrom fastapi import FastAPI\n\napp = FastAPI()",
    "%serve app --name cat --title Cat --share --expires 2h",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        try:
            of_functions(browser)
            of_pages(browser, Path(folder))
            of_the_card(browser, Path(folder))
            of_jupyterlite(browser, Path(folder))
            of_exports(browser, Path(folder))
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, scheme: str, **options: object) -> Iterator[BrowserContext]:
    with chromium.visitor(browser, color_scheme=scheme, viewport=_SIZE, **options) as visitor:
        yield visitor


def take(page: Page, name: str, scheme: str) -> None:
    """The whole page, as far as it goes."""
    page.screenshot(path=IMAGES / f"{name}-{scheme}.png", full_page=True)
    print(f"{name}-{scheme}.png")


# --- functions --------------------------------------------------------------------------------------------------


def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern", balcony: bool = False) -> float:
    """Price of a flat.

    By a model of 2,000 flats that were sold in 2024. In francs, without parking.

    Args:
        area: square metres
        rooms: without kitchen and bath
    """
    return round(7_450 * area + 18_000 * rooms + 12_500 * balcony + 40_000 * (city == "Basel"), 2)


def history(city: Literal["Bern", "Basel"] = "Bern", years: Annotated[int, Field(ge=2, le=20)] = 10) -> Any:
    """How prices went."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(2025 - years, 2025), [5_200 + 210 * year + 90 * (year % 3) for year in range(years)], marker="o")
    axes.set_ylabel("francs a square metre")
    return figure


def compare(flats: pandas.DataFrame, by: str = "city") -> pandas.DataFrame:
    """Means of a table of flats."""
    return flats.groupby(by).mean(numeric_only=True).reset_index()


def of_functions(browser: Browser) -> None:
    with serving() as house:
        house.app = server_of({"predict": predict, "history": history, "compare": compare}, "Flats")
        for scheme in SCHEMES:
            with visiting(browser, scheme) as visitor:
                page = Functions(visitor, house)
                page.page.set_viewport_size({"width": 860, "height": 600})
                page.control("area").fill("82.5")
                page.control("balcony").check()
                page.called()
                page.panel.get_by_text("Use it in a program").click()
                page.page.mouse.move(0, 0)
                take(page.page, "functions", scheme)
                page.open("history")
                page.run()
                expect(page.output.locator("img")).to_be_visible()
                page.page.mouse.move(0, 0)
                take(page.page, "functions-plot", scheme)


# --- JupyterLite ------------------------------------------------------------------------------------------------


def of_jupyterlite(browser: Browser, folder: Path) -> None:
    notebook = ROOT / "notebooks" / "04-browser.ipynb"
    (folder / "lite").mkdir()
    host = StaticHost(site.build(folder / "lite", notebooks=(notebook,)))
    try:
        for scheme in SCHEMES:
            with visiting(browser, scheme) as visitor:
                lab = Notebook(visitor, host.url, notebook.name)
                lab.page.set_viewport_size({"width": 1100, "height": 1000})
                lab.page.keyboard.press("Control+B")
                cells = [lab.run(number) for number in range(4)]
                expect(frame(cells[3]).get_by_role("heading")).to_be_visible()
                frame(cells[3]).get_by_role("textbox").fill("reader")
                frame(cells[3]).get_by_role("button").click()
                expect(frame(cells[3]).get_by_role("heading")).to_have_text("Hello, reader")
                cells[3].locator(".portico-frame").scroll_into_view_if_needed()
                take(lab.page, "jupyterlite", scheme)
    finally:
        host.stop()


# --- exported sites ---------------------------------------------------------------------------------------------

_EXPORTED = """
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()

@app.get("/", response_class=HTMLResponse)
def home():
    return "<title>Cat</title><h1>Hello from your own browser</h1><p>There is no server.</p>"
"""
_BROKEN = """
SOUNDS = {"dog": "woof"}

async def app(scope, receive, send): ...

print("The cat says", SOUNDS["cat"])
"""


def of_exports(browser: Browser, folder: Path) -> None:
    """An app as a static site: while Python loads, the app, its source, and one that does not start."""
    root = folder / "exports"
    root.mkdir()
    for name, source in (("cat", _EXPORTED), ("broken", _BROKEN)):
        (root / f"{name}.py").write_text(source.lstrip(), "utf-8")
        export(root / f"{name}.py", root / name, "--name", "Cat")
    host = StaticHost(root)
    try:
        for scheme in SCHEMES:
            with visiting(browser, scheme) as visitor:
                page = visitor.new_page()
                page.goto(f"{host.url}cat/")
                page.wait_for_function("document.querySelector('progress')?.value > 0.3")
                take(page, "export-loading", scheme)
                expect(page.frame_locator("#frame").get_by_role("heading")).to_be_visible(timeout=60_000)
                take(page, "export", scheme)
                page.goto(f"{host.url}broken/")
                expect(page.get_by_role("alert")).to_be_visible(timeout=60_000)
                take(page, "export-error", scheme)
    finally:
        host.stop()


# --- a relay's pages --------------------------------------------------------------------------------------------


def of_pages(browser: Browser, folder: Path) -> None:
    (folder / "pictured.py").write_text(_APP, "utf-8")
    folder = folder / "relay"
    folder.mkdir()
    relay = RelayProcess(folder, domain="share.localhost", anonymous=True, wait_for_provider=0.2).start()
    token = relay.token()
    with ExitStack() as stack:
        stack.callback(relay.stop)

        def serving(name: str, *options: str, token: str = token) -> Provider:
            provider = Provider(relay, folder.parent, name, token, *options)
            stack.callback(provider.end)
            return provider

        guarded = serving("guarded", "--password", "swordfish")
        over = serving("over", "--expires", "1s")
        private = serving("private", "--access", "private")
        serving("cat", "--expires", "7d")
        strangers = serving("prize", token="")
        asleep = serving("asleep")
        asleep.end()
        wait_until_away(relay, asleep)
        for scheme in SCHEMES:
            with visiting(browser, scheme) as visitor:
                page = visitor.new_page()
                for name, url in (
                    ("relay-password", guarded.url),
                    ("relay-stranger", strangers.url),
                    ("relay-waking-up", asleep.url),
                    ("relay-expired", over.url),
                ):
                    page.goto(url)
                    take(page, name, scheme)
                page.goto(private.url)
                take(page, "relay-sign-in", scheme)
                sign_in(page)
                page.goto(ask_to_be_let_in(relay))
                take(page, "relay-device", scheme)
                page.goto(f"{relay.url}portico/")
                take(page, "relay-account", scheme)
                page.set_viewport_size({"width": 1100, "height": 700})
                page.goto(f"{relay.url}portico/admin")
                take(page, "relay-admin", scheme)


class Provider:
    """``portico serve`` in a process of its own."""

    def __init__(self, relay: RelayProcess, folder: Path, name: str, token: str, *options: str) -> None:
        address = f"http://127.0.0.1:{relay.port}"
        command = [sys.executable, "-m", "portico", "serve", "pictured:app", f"--id={name}", *options]
        self._process = subprocess.Popen(
            [*command, f"--server-url={address}"],
            cwd=folder,
            env=os.environ | {"PORTICO_TOKEN": token, "PORTICO_CREDENTIALS": str(folder / "none.json")},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def end(self) -> None:
        """As systemd ends it: the name is left to the next start."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            assert self._process.stdout is not None
            self._process.stdout.close()


def wait_until_away(relay: RelayProcess, provider: Provider) -> None:
    """Until its visitors are told that its computer sleeps."""
    host = httpx.URL(provider.url).netloc.decode()

    def is_away() -> bool:
        answer = httpx.get(f"http://127.0.0.1:{relay.port}/", headers={"Host": host}, trust_env=False)
        return answer.status_code == 503 and bool(answer.json()["error"]["code"] == "provider_away")

    eventually(is_away, 30)


def sign_in(page: Page) -> None:
    page.get_by_label("User name").fill(ALICE)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Hello")).to_be_visible()


def ask_to_be_let_in(relay: RelayProcess) -> str:
    """The page where a program is let in, of one that asks now."""
    fields = {"client_id": "portico", "scope": "publish:* keys manage", "label": "portico on laptop"}
    where = f"http://127.0.0.1:{relay.port}/portico/device_authorization"
    answer = httpx.post(where, data=fields, headers={"User-Agent": "portico/0.1 (laptop)"}, trust_env=False)
    return str(answer.json()["verification_uri_complete"])


# --- the card ---------------------------------------------------------------------------------------------------


def of_the_card(browser: Browser, folder: Path) -> None:
    """Of a service that is shared, in JupyterLab, with its QR code."""
    relay = RelayProcess(folder, domain="share.localhost").start()
    given = {"PORTICO_RELAY": f"http://127.0.0.1:{relay.port}", "PORTICO_TOKEN": relay.token()}
    notebooks = folder / "notebooks"
    for new in (notebooks, folder / "jupyter"):
        new.mkdir()
    server = JupyterServer(folder / "jupyter", root=notebooks, env=given).start()
    try:
        for scheme in SCHEMES:
            theme = {"raw": f'{{"theme": "JupyterLab {scheme.capitalize()}"}}'}
            server.api("PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes", theme)
            name = f"{scheme}.ipynb"
            write(server, name, list(_CELLS))
            with chromium.visitor(browser, viewport={"width": 1000, "height": 1400}) as visitor:
                lab = Lab(visitor, server, name)
                lab.run(0)
                lab.run(1)
                card = lab.cards.first
                card.get_by_text("QR code").click()
                expect(card.locator("svg")).to_be_visible()
                card.screenshot(path=IMAGES / f"card-shared-{scheme}.png")
                print(f"card-shared-{scheme}.png")
            for session in server.api("GET", "api/sessions"):
                server.api("DELETE", f"api/sessions/{session['id']}")
    finally:
        server.stop()
        relay.stop()


if __name__ == "__main__":
    main()
