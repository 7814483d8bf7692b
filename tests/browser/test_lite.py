"""In JupyterLite: a site as its admin builds it, `%serve` in its kernel, the preview in its page, a link by a relay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from websockets.sync.client import connect

from tests.browser import chromium
from tests.browser.static_host import StaticHost
from tests.lite.page import START, Notebook, Repl, card, error, frame
from tests.lite.site import build
from tests.live_commands import allow
from tests.live_relay import ALICE, PASSWORD, RelayProcess
from tests.notebook_cells import code_cells
from tests.pyodide import environment

pytestmark = pytest.mark.timeout(400)

NOTEBOOK = environment.ROOT / "notebooks" / "04-browser.ipynb"
FIRST = "%pip install portico fastapi python-multipart docstring-parser fastapi-offline\n%load_ext portico"

APP = """
from fastapi import FastAPI, WebSocket
from fastapi.responses import HTMLResponse

{name} = FastAPI()

@{name}.get("/", response_class=HTMLResponse)
def home():
    return "<h1>{heading}</h1><a href=other>other</a> <a href=broken>broken</a>"

@{name}.get("/other", response_class=HTMLResponse)
async def other():
    return "<h1>Other</h1>"

@{name}.get("/broken")
def broken():
    return 1 / 0

@{name}.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text("echo: " + await socket.receive_text())
"""


FUNCTIONS = """
import asyncio, pathlib
from typing import Literal

def predict(area: float, rooms: int = 2, city: Literal["Bern", "Basel"] = "Bern") -> float:
    '''Price of a flat.

    Args:
        area: square metres
    '''
    return area * rooms

async def count():
    more.clear()
    yield "first "
    await more.wait()
    yield "last"

def size(file: pathlib.Path) -> int:
    return len(file.read_bytes())

more = asyncio.Event()

def go_on() -> bool:
    more.set()
    return True
"""

STARTS_NOT = """
from contextlib import asynccontextmanager

async def starts_not(app):
    raise RuntimeError('no database')
    yield


broken = FastAPI(lifespan=asynccontextmanager(starts_not))
"""


def app(name: str, heading: str) -> str:
    return APP.format(name=name, heading=heading)


def site(folder: Path, **options: bool) -> StaticHost:
    return StaticHost(build(folder, notebooks=(NOTEBOOK,), compiled=True, **options))


@pytest.fixture(scope="module")
def lite(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a site that was built where Portico is."""
    host = site(tmp_path_factory.mktemp("lite"))
    yield host.url
    host.stop()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with chromium.visitor(browser, viewport={"width": 1000, "height": 1000}) as context:
        yield context


@pytest.fixture(scope="module")
def repl(context: BrowserContext, lite: str) -> Repl:
    return Repl(context, lite, FIRST)


def preview(lite: str, name: str) -> str:
    return f"{lite}extensions/portico/preview/{name}/"


# --- previews ------------------------------------------------------------------------------------------------------


def test_an_app_is_previewed_beneath_its_card(repl: Repl, lite: str) -> None:
    repl.run(app("first", "Hello from a kernel"))
    cell = repl.run("%serve first")
    expect(card(cell)).to_contain_text(re.compile("first.*live since .*, while this tab runs"))
    expect(card(cell)).to_contain_text("in this browser alone")
    expect(card(cell).get_by_role("link").first).to_have_attribute("href", preview(lite, "first"))
    expect(card(cell)).not_to_contain_text("curl")
    expect(frame(cell).get_by_role("heading")).to_have_text("Hello from a kernel")
    frame(cell).get_by_role("link", name="other").click()
    expect(frame(cell).get_by_role("heading")).to_have_text("Other")


def test_another_tab_of_the_browser_sees_it(repl: Repl, lite: str) -> None:
    repl.run(app("linked", "Hello, tab"))
    cell = repl.run("%serve linked")
    with repl.page.context.expect_page() as opened:
        card(cell).get_by_role("link").first.click()
    tab = opened.value
    expect(tab.get_by_role("heading")).to_have_text("Hello, tab")
    assert tab.url == preview(lite, "linked")
    tab.close()


def test_its_author_sees_what_it_raised_and_its_visitor_does_not(repl: Repl, lite: str) -> None:
    repl.run(app("fails", "Fails"))
    cell = repl.run("%serve fails")
    frame(cell).get_by_role("link", name="broken").click()
    expect(frame(cell).locator("body")).to_contain_text("Internal Server Error")
    expect(card(cell)).to_contain_text("ZeroDivisionError: division by zero")
    expect(card(cell)).to_contain_text("return 1 / 0")
    expect(frame(cell).locator("body")).to_contain_text("Internal Server Error")  # the page stays as it is


def test_the_name_defined_anew_is_served_under_the_same_url(repl: Repl) -> None:
    repl.run(app("changes", "Before"))
    served = repl.run("%serve changes")
    expect(frame(served).get_by_role("heading")).to_have_text("Before")
    again = repl.run(app("changes", "After"))
    expect(again).to_contain_text("answers with the new changes")
    expect(frame(served).get_by_role("heading")).to_have_text("After")


def test_served_again_it_stays_where_it_is(repl: Repl, lite: str) -> None:
    repl.run(app("twice", "Once"))
    repl.run("%serve twice")
    cell = repl.run(app("twice", "Twice") + "\n%serve twice")
    expect(frame(cell).get_by_role("heading")).to_have_text("Twice")
    expect(card(cell).get_by_role("link").first).to_have_attribute("href", preview(lite, "twice"))


def test_an_app_that_does_not_start_fails_the_cell(repl: Repl) -> None:
    cell = repl.run(STARTS_NOT + "%serve broken")
    expect(error(cell).first).to_contain_text("RuntimeError: no database")
    expect(error(cell).first).to_contain_text("in starts_not")
    expect(cell).not_to_contain_text("site-packages")
    expect(card(cell)).to_have_count(0)


def test_where_the_browser_cannot_switch_stacks_it_is_shown_once_it_is_there(repl: Repl) -> None:
    repl.run("import pyodide.ffi\n\ncan = pyodide.ffi.can_run_sync\npyodide.ffi.can_run_sync = lambda: False")
    try:
        repl.run(app("later", "Later"))
        cell = repl.run("%serve later")
        expect(card(cell)).to_contain_text("live since")
        expect(frame(cell).get_by_role("heading")).to_have_text("Later")
        repl.run(app("later", "Later still"))
        expect(frame(cell).get_by_role("heading")).to_have_text("Later still")
        cell = repl.run(STARTS_NOT + "%serve broken")
        expect(card(cell)).to_contain_text("failed: RuntimeError: no database")
        expect(card(cell)).to_contain_text("in starts_not")
    finally:
        repl.run("pyodide.ffi.can_run_sync = can")


def test_serve_can_be_awaited(repl: Repl, lite: str) -> None:
    cell = repl.run(app("plain", "Awaited") + "\nimport portico\nawait portico.serve(plain, name='twin')")
    expect(card(cell)).to_contain_text(preview(lite, "twin"))
    expect(frame(cell).get_by_role("heading")).to_have_text("Awaited")


def test_a_preview_has_no_keys(repl: Repl) -> None:
    repl.run(app("keyless", "No keys"))
    cell = repl.run("%serve keyless\nservice.key()")
    expect(error(cell).first).to_contain_text("a preview has no keys: share it by a relay")


def test_a_model_has_its_chat_page(repl: Repl) -> None:
    code = "async def cat(messages):\n    for word in ('Meow', ' and', ' purr'):\n        yield word"
    repl.run(f"import portico\n\n@portico.model('cat-model')\n{code}")
    cell = repl.run("%serve cat")
    chat = frame(cell)
    chat.get_by_role("textbox").first.fill("Hello")
    chat.get_by_role("textbox").first.press("Enter")
    expect(chat.locator("body")).to_contain_text("Meow and purr")


def test_a_function_has_its_form_its_api_and_its_description(repl: Repl, lite: str) -> None:
    repl.run(FUNCTIONS)
    cell = repl.run("%serve predict")
    expect(card(cell)).to_contain_text("function predict")
    expect(card(cell)).to_contain_text("a page with a form")
    expect(card(cell)).to_contain_text("that needs the package mcp. %pip install mcp brings it")
    form = frame(cell)
    expect(form.locator(".field[data-name=area]")).to_contain_text("square metres")
    form.get_by_label("area", exact=True).fill("12.5")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form.locator(".output")).to_contain_text("25.0")
    repl.run("def predict(area: float) -> str:\n    return f'{area:g} anew'")
    tab = repl.page.context.new_page()
    url = preview(lite, "predict")
    tab.goto(f"{url}docs")
    expect(tab.locator(".opblock").first).to_be_visible()
    assert asked(tab, f"{url}run", {"area": 3}) == [200, '{"result":"3 anew"}']
    status, said = asked(tab, f"{url}run", {"area": "x"})
    assert (status, '["body","area"]' in said) == (422, True)
    status, said = asked(tab, f"{url}mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert (status, "the package mcp cannot be imported" in said) == (501, True)
    tab.close()


def test_functions_stream_and_take_files(repl: Repl, lite: str) -> None:
    repl.run(FUNCTIONS)
    repl.run("%serve [count, size, go_on] --name several")
    tab = repl.page.context.new_page()
    url = preview(lite, "several")
    tab.goto(url)
    assert tab.evaluate(STREAMED, url) == ["first ", "last"]  # it ends only once its beginning has arrived
    assert tab.evaluate(UPLOADED, f"{url}size/run") == [200, '{"result":5}']
    tab.close()


STREAMED = """async url => {
  const post = {method: "POST", headers: {"content-type": "application/json"}};
  const answer = await fetch(url + "count/run", {...post, body: "{}"});
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const first = (await reader.read()).value;
  await fetch(url + "go_on/run", {...post, body: "{}"});
  return [first, (await reader.read()).value];
}"""
UPLOADED = """async url => {
  const body = new FormData();
  body.append("file", new Blob(["hello"]), "a.txt");
  const answer = await fetch(url, {method: "POST", body});
  return [answer.status, await answer.text()];
}"""


def asked(tab: Page, url: str, body: object) -> list[object]:
    """The status and the text that a page of the site gets for *body*, sent as JSON."""
    told: list[object] = tab.evaluate(
        """async ([url, body]) => {
          const headers = {"content-type": "application/json"};
          const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
          return [answer.status, await answer.text()];
        }""",
        [url, body],
    )
    return told


def test_stopped_it_is_gone(repl: Repl, lite: str) -> None:
    repl.run(app("ends", "Ends"))
    served = repl.run("%serve ends")
    expect(frame(served).get_by_role("heading")).to_have_text("Ends")
    stopped = repl.run("%serve --stop ends")
    expect(stopped).to_contain_text("ends is stopped.")
    expect(served.locator(".portico-frame")).to_have_count(0)
    expect(card(served)).to_contain_text("stopped")
    tab = repl.page.context.new_page()
    tab.goto(preview(lite, "ends"))
    expect(tab.get_by_role("alert")).to_contain_text("No tab runs ends")
    tab.close()


def test_the_doctor_says_that_it_is_the_page(repl: Repl, lite: str) -> None:
    cell = repl.run("%serve --doctor")
    expect(cell).to_contain_text(f"the site {lite}")
    expect(cell).to_contain_text("this page shows what is served")


# --- links ---------------------------------------------------------------------------------------------------------


def test_a_link_by_a_relay_leads_to_the_tab(repl: Repl, relay: RelayProcess) -> None:
    repl.run(app("public", "Hello, world"))
    cell = repl.run(f"%serve public --share --relay {relay.url}")
    expect(card(cell)).to_contain_text("shared by 127.0.0.1")
    link = card(cell).locator(f"a[href^='{relay.url}']").get_attribute("href")
    assert link is not None
    assert httpx.get(link).text.startswith("<h1>Hello, world</h1>")
    with connect(f"{link.replace('http:', 'ws:')}echo") as socket:
        socket.send("hello")
        assert socket.recv(timeout=30) == "echo: hello"
    expect(frame(cell).get_by_role("heading")).to_have_text("Hello, world")
    unshared = repl.run("%serve --unshare public")
    expect(unshared).to_contain_text("public is shared no more.")
    assert httpx.get(link).status_code == 401  # as for all that a stranger's workspace does not show
    expect(frame(cell).get_by_role("heading")).to_have_text("Hello, world")


def test_logged_in_at_a_relay(repl: Repl, relay: RelayProcess) -> None:
    repl.run(app("mine", "Mine"))
    cell = repl.begin(f"%serve mine --share --login --relay {relay.url}")
    page = cell.locator("a[href*='/portico/device']").get_attribute("href", timeout=START)
    assert page is not None
    allow(page, ALICE, PASSWORD)
    link = card(repl.ran(cell)).locator(f"a[href='{relay.service_url('mine')}']").get_attribute("href")
    assert link is not None
    assert "Mine" in httpx.get(link).text


def test_a_site_without_the_extension_says_so_and_shares(
    node: str, browser: Browser, tmp_path: Path, relay: RelayProcess
) -> None:
    host = site(tmp_path, portico=False)
    try:
        with chromium.visitor(browser) as context:
            repl = Repl(context, host.url, FIRST)
            repl.run(app("bare", "Bare"))
            cell = repl.run("%serve bare")
            expect(card(cell)).to_contain_text("There is no preview: this JupyterLite site was built without Portico")
            expect(cell.locator(".portico-frame")).to_have_count(0)
            cell = repl.run(f"%serve bare --share --relay {relay.url}")
            link = card(cell).locator(f"a[href^='{relay.url}']").get_attribute("href")
            assert link is not None
            assert "Bare" in httpx.get(link).text
    finally:
        host.stop()


# --- Lab -----------------------------------------------------------------------------------------------------------


def test_the_notebook_runs_in_lab_and_a_restart_ends_what_it_serves(browser: Browser, lite: str) -> None:
    with chromium.visitor(browser, viewport={"width": 1200, "height": 1000}) as context:
        notebook = Notebook(context, lite, NOTEBOOK.name)
        for number, code in enumerate(code_cells(NOTEBOOK)):
            cell = notebook.run(number)
            assert error(cell).count() == 0, f"{code}\n{error(cell).all_inner_texts()}"
            if code.startswith("%serve hello"):
                expect(frame(cell).get_by_role("heading")).to_be_visible()
                url = card(cell).get_by_role("link").first.get_attribute("href")
                assert url is not None
        tab = context.new_page()
        tab.goto(url)
        expect(tab.get_by_role("heading")).to_be_visible()
        restart(notebook.page)
        tab.wait_for_function("async () => (await fetch(location.href)).status === 502", polling=200)
        tab.reload()
        expect(tab.get_by_role("alert")).to_contain_text("No tab runs hello")


def restart(page: Page) -> None:
    page.get_by_role("menuitem", name="Kernel").click()
    page.get_by_role("menuitem", name=re.compile("Restart Kernel…")).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
