"""From the load of JupyterLite's page to an app that its kernel serves, seen in its frame."""

import time
from statistics import median
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.paths import NotServed, Stage
from benchmarks.row import Bar, Effort, Row, Say
from tests.browser import chromium
from tests.browser.static_host import StaticHost
from tests.lite.site import build

MEASURE = "jupyterlite"
SERVED = Bar("at most", 8)  # s
LONGEST = 120_000  # ms
KERNEL = "print('ready')"
PROGRAM = """%pip install portico fastapi
%load_ext portico
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()

@app.get("/", response_class=HTMLResponse)
def home():
    return "<h1>Served</h1>"

%serve app"""


def measure(stage: Stage, effort: Effort, say: Say) -> list[Row]:
    """A browser that has seen nothing of the site, each time."""
    if not chromium.PATH:
        return [Row(MEASURE, "page load to served", None, "s", SERVED, note="no chromium here")]
    rows = []
    for compiled in (False, True):
        folder = stage.directory / f"lite-{compiled}"
        folder.mkdir(exist_ok=True)
        try:
            host = StaticHost(build(folder, compiled=compiled))
        except LookupError as error:
            raise NotServed(str(error)) from error
        try:
            with sync_playwright() as playwright:
                browser = chromium.launch(playwright)
                kernel = [seconds(browser, host.url, KERNEL, printed) for _ in range(effort.rounds)]
                served = [seconds(browser, host.url, PROGRAM, shown) for _ in range(effort.rounds)]
                browser.close()
        finally:
            host.stop()
        what = "its Pyodide a bundle" if compiled else "packages as wheels have them"
        spread = f"{min(served):.1f} to {max(served):.1f}"
        bar = SERVED if compiled else None
        rows += [
            Row(MEASURE, f"{what}: page load to a first line of Python", median(kernel), "s"),
            Row(MEASURE, f"{what}: page load to served, and seen", median(served), "s", bar, note=spread),
        ]
    return rows


def seconds(browser: Browser, site: str, code: str, seen: Any) -> float:
    with chromium.visitor(browser) as visitor:
        page = visitor.new_page()
        began = time.perf_counter()
        page.goto(f"{site}repl/index.html?kernel=python&execute=1&code={quote(code)}")
        seen(page)
        return time.perf_counter() - began


def printed(page: Page) -> None:
    expect(page.locator(".jp-OutputArea-output", has_text="ready")).to_be_visible(timeout=LONGEST)


def shown(page: Page) -> None:
    expect(page.frame_locator(".portico-frame").get_by_role("heading")).to_have_text("Served", timeout=LONGEST)
