"""The docs of typed functions, below a real prefix of Jupyter: nothing from elsewhere, and calls that work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.live_jupyter import JupyterServer, Kernel

SERVE = """
import portico
from typing import Literal
from pathlib import Path
from portico.functions.server import FunctionsServer
from portico.functions.mark import tool
from portico.functions.signature import typed_function

def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern") -> float:
    '''Price of a *flat*.

    Args:
        area: square metres
    '''
    return area * rooms

def size(file: Path, note: str = "") -> str:
    return f"{file.name} {len(file.read_bytes())} {note}"

@tool(get=True)
def add(a: int, b: int = 1) -> int:
    return a + b

functions = [typed_function(one) for one in (predict, size, add)]
service = portico.serve(FunctionsServer({one.name: one for one in functions}, title="Flats"), "documented")
"""


@pytest.fixture(scope="module")
def kernel(server: JupyterServer) -> Iterator[Kernel]:
    kernel = server.kernel()
    kernel.execute(SERVE).check()
    yield kernel
    kernel.shutdown()


@pytest.fixture
def said() -> list[str]:
    """What the console said that is an error or a warning."""
    return []


@pytest.fixture
def page(visitor: BrowserContext, server: JupyterServer, kernel: Kernel, said: list[str]) -> Page:
    page = visitor.new_page()
    page.goto(f"{server.url}login?token={server.token}")

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{server.url}portico/apps/documented/docs")
    expect(page.get_by_role("heading", level=1).or_(page.locator("h2.title"))).to_contain_text("Flats")
    return page


def opened(page: Page, path: str, method: str = "post") -> Locator:
    block = page.locator(f".opblock-{method}", has=page.locator(f"[data-path='{path}']"))
    block.locator(".opblock-summary-control").click()
    return block


def test_every_function_is_there_and_the_console_is_silent(page: Page, said: list[str]) -> None:
    for path in ("/predict/run", "/size/run", "/add/run"):
        expect(page.locator(f"[data-path='{path}']").first).to_be_visible()
    for summary in page.locator(".opblock-summary-control").all():
        summary.click()
    expect(page.locator(".opblock-body")).to_have_count(4)
    page.get_by_role("tab", name="Schema").first.click()
    page.locator(".opblock-body").first.get_by_role("button", name="Expand all").first.click()
    expect(page.get_by_text("square metres").first).to_be_visible()
    assert said == []


def test_a_function_is_tried_out(page: Page, said: list[str]) -> None:
    block = opened(page, "/predict/run")
    block.locator("textarea").fill('{"area": 35, "rooms": 3}')
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    expect(block.locator(".live-responses-table")).to_contain_text("105")
    assert said == []


def test_a_file_is_sent(page: Page, said: list[str]) -> None:
    block = opened(page, "/size/run")
    block.locator("select").first.select_option("multipart/form-data")
    block.locator("input[type=file]").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"hello"})
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table")).to_contain_text("a.txt 5")
    assert said == []


def test_a_query_is_sent(page: Page, said: list[str]) -> None:
    block = opened(page, "/add/run", "get")
    block.get_by_placeholder("a", exact=True).fill("4")
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table")).to_contain_text("5")
    assert said == []


def test_what_an_author_writes_is_not_run(page: Page, server: JupyterServer, kernel: Kernel) -> None:
    kernel.execute(
        """
def evil() -> int:
    '''<img src=x onerror="document.title='run'"> <script>document.title='run'</script>'''
    return 1
service2 = portico.serve(FunctionsServer({"evil": typed_function(evil)}), "evil-docs")
"""
    ).check()
    page.goto(f"{server.url}portico/apps/evil-docs/docs")
    page.locator(".opblock-summary-control").first.click()
    expect(page.locator(".opblock-description").first).to_be_visible()
    assert page.title() != "run"
