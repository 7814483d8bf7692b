"""The card in JupyterLab and Notebook 7: what a person sees, clicks and reaches by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser import chromium
from tests.browser.lab import Lab, close_kernels, focus, show, write
from tests.live_jupyter import JupyterServer

CELLS = [
    """\
%load_ext portico
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
app = FastAPI()

@app.get("/", response_class=HTMLResponse)
def home():
    return "<h1>Hello from a cell</h1>"

@app.get("/fail")
def fail():
    return 1 / 0
""",
    "%serve app --name shown --title Shown",
    "service.stop()",
    "%serve nothing_of_that_name",
]


@pytest.fixture(scope="module")
def lab(browser: Browser, server: JupyterServer) -> Iterator[Lab]:
    """A notebook with its app served: the tests below go on from one another's state no further than the card."""
    write(server, "shown.ipynb", CELLS)
    with chromium.visitor(browser, viewport={"width": 1280, "height": 1000}) as visitor:
        lab = Lab(visitor, server, "shown.ipynb")
        lab.run(0)
        yield lab
    close_kernels(server)


def test_the_first_notebook_runs_by_keys_and_its_card_opens_the_app(
    visitor: BrowserContext, server: JupyterServer
) -> None:
    lab = Lab(visitor, server, "01-serve.ipynb")
    lab.run_all()
    expect(lab.page.get_by_text("Ways to a hub")).to_be_visible(timeout=60_000)
    expect(lab.page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]')).to_have_count(0)
    card = lab.cards.first
    expect(card).to_contain_text("live since")
    expect(card).to_contain_text("ZeroDivisionError: division by zero")  # it is not made anew from now on
    show(card)
    with visitor.expect_page() as opened:
        card.get_by_role("link").first.click()
    expect(opened.value.get_by_role("heading")).to_have_text("Hello again")
    assert opened.value.url == server.url + "portico/apps/app/"
    close_kernels(server)


def test_the_card_is_reached_by_keyboard_and_copied_by_a_click(lab: Lab) -> None:
    lab.run(1)
    page, card = lab.page, lab.cards
    expect(card).to_contain_text("live since")
    focus(card.get_by_role("link").first)
    focused = [page.evaluate("document.activeElement.innerText")]
    for _ in range(2):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.innerText"))
    assert focused[0].endswith("/portico/apps/shown/")
    assert focused[1:] == ["docs", "curl"]
    page.keyboard.press("Enter")
    expect(card.locator("pre")).not_to_be_visible()
    page.keyboard.press("Enter")
    card.locator("pre").click()
    assert page.evaluate("getSelection().toString()").startswith("curl http://127.0.0.1:")
    assert page.evaluate("getSelection().toString()").endswith('-H "Authorization: Bearer $PORTICO_KEY"')
    focus(card.get_by_role("link").first)
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    expect(opened.value.get_by_role("heading")).to_have_text("Hello from a cell")
    opened.value.close()


def test_the_card_follows_what_happens(lab: Lab, server: JupyterServer) -> None:
    lab.run(1)
    card = lab.cards
    expect(card).to_have_count(1)
    expect(card).to_contain_text("Shown live since")
    expect(card).not_to_contain_text("Error")

    app = lab.page.context.new_page()
    answer = app.goto(server.url + "portico/apps/shown/fail")
    app.close()
    assert answer is not None
    assert answer.status == 500
    expect(card.get_by_text("ZeroDivisionError: division by zero").first).to_be_visible()
    expect(card).to_contain_text("GET /fail, at ")
    expect(card.locator("pre").nth(1)).to_contain_text("Cell In[1], line 12, in fail")
    expect(card.locator("pre").nth(2)).not_to_be_visible()
    card.get_by_text("Whole traceback").click()
    expect(card.locator("pre").nth(2)).to_contain_text("Traceback (most recent call last)")

    lab.run(1)
    expect(card).to_have_count(1)
    expect(card).not_to_contain_text("ZeroDivisionError")
    lab.run(2)
    expect(card).to_contain_text("Shown stopped")
    expect(card.get_by_role("link")).to_have_count(0)
    expect(lab.run(3).locator('[data-mime-type="application/vnd.jupyter.stderr"]')).to_have_text(
        "ServeError: name 'nothing_of_that_name' is not defined. Run the cell that defines it first."
    )


def test_notebook_7_shows_the_same_card(visitor: BrowserContext, server: JupyterServer) -> None:
    write(server, "seven.ipynb", [*CELLS[:1], "%serve app --name seven"])
    lab = Lab(visitor, server, "seven.ipynb", view="notebooks")
    lab.run(0)
    lab.run(1)
    expect(lab.cards).to_contain_text("seven live since")
    with visitor.expect_page() as opened:
        lab.cards.get_by_role("link").first.click()
    expect(opened.value.get_by_role("heading")).to_have_text("Hello from a cell")


def test_the_extension_leaves_a_servers_page_as_it_is(lab: Lab) -> None:
    assert lab.page.evaluate("() => '_JUPYTERLAB' in globalThis && 'portico' in globalThis._JUPYTERLAB")  # it is loaded
    assert lab.page.evaluate("() => /^function Worker\\(\\) { \\[native code\\] }$/.test(String(Worker))")
    assert lab.page.evaluate("() => Worker.name === 'Worker' && Worker.prototype.constructor === Worker")
