"""The page at a functions service's own URL, as a person gets it by a login or a key, from a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.live_jupyter import JupyterServer, Kernel

FUNCTIONS = """
import time
import pandas
from typing import Literal
from portico import Progress

def predict(area: float, city: Literal["Bern", "Basel"] = "Bern") -> float:
    '''Price of a flat.'''
    return area * 7500

def table(rows: int = 2):
    return pandas.DataFrame({"city": ["Bern"] * rows, "price": range(rows)})

def plot(progress: Progress):
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    progress(1, 2, "drawing")
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    return figure

def words(count: int = 3):
    for number in range(count):
        yield f"word {number} "
"""


@pytest.fixture(scope="module")
def kernel(server: JupyterServer) -> Iterator[Kernel]:
    kernel = server.kernel()
    kernel.execute("%load_ext portico\nimport portico").check()
    kernel.execute(FUNCTIONS).check()
    kernel.execute("%serve [predict, table, plot, words] --name flats").check()
    yield kernel
    kernel.shutdown()


@pytest.fixture
def page(visitor: BrowserContext, server: JupyterServer, kernel: Kernel) -> Page:
    page = visitor.new_page()
    page.goto(f"{server.url}login?token={server.token}")
    page.goto(server.url + "portico/apps/flats/")
    return page


def run(page: Page) -> None:
    page.locator(".panel:visible").get_by_role("button", name="Run", exact=True).click()


def test_functions_of_a_notebook_are_called_from_their_page(page: Page) -> None:
    output = page.locator(".output:visible")
    page.get_by_label("area", exact=True).fill("80")
    run(page)
    expect(output.locator(".value")).to_have_text("600000.0")
    page.get_by_role("tab", name="Table").click()
    run(page)
    expect(output.frame_locator("iframe").get_by_role("cell", name="Bern")).to_have_count(2)
    page.get_by_role("tab", name="Words").click()
    run(page)
    expect(output.locator(".pieces")).to_have_text("word 0 word 1 word 2 ")
    page.get_by_role("tab", name="Plot").click()
    run(page)
    expect(output.locator(".picture img")).to_be_visible()


def test_a_cell_that_is_run_again_gives_another_form(page: Page, kernel: Kernel) -> None:
    kernel.execute("def predict(area: float, rooms: int = 5) -> float:\n    return area * rooms").check()
    try:
        page.reload()
        expect(page.get_by_label("rooms", exact=True)).to_have_value("5")
        expect(page.get_by_label("city", exact=True)).to_have_count(0)
    finally:
        kernel.execute(FUNCTIONS).check()


def test_a_login_that_ended_is_told(page: Page, visitor: BrowserContext) -> None:
    page.get_by_label("area", exact=True).fill("80")
    visitor.clear_cookies()
    run(page)
    expect(page.locator(".output:visible")).to_contain_text("Load this page again: it asks you to sign in")


def test_a_service_that_is_gone_is_told(page: Page, kernel: Kernel) -> None:
    page.get_by_label("area", exact=True).fill("80")
    kernel.execute("%serve --stop flats").check()
    try:
        run(page)
        expect(page.locator(".output:visible .failed")).to_be_visible()
        expect(page.locator(".output:visible")).to_contain_text("again")
    finally:
        kernel.execute("%serve [predict, table, plot, words] --name flats").check()


def test_a_visitor_with_a_key_may_call_too(visitor: BrowserContext, server: JupyterServer, kernel: Kernel) -> None:
    key = kernel.execute("print(portico.service('flats').key())").check().text.strip()
    page = visitor.new_page()
    page.goto(f"{server.url}portico/apps/flats/?portico_key={key}")
    page.get_by_label("area", exact=True).fill("2")
    run(page)
    expect(page.locator(".output:visible .value")).to_have_text("15000.0")
    page.locator(".panel:visible").get_by_text("Use it in a program").click()
    expect(page.locator(".program:visible")).to_contain_text("$PORTICO_KEY")
    assert key not in page.content(), "the page does not hand on what let this visitor in"


def test_a_public_service_needs_no_key(visitor: BrowserContext, server: JupyterServer, kernel: Kernel) -> None:
    kernel.execute("%serve predict --name open-flats --access public").check()
    page = visitor.new_page()
    page.goto(f"{server.url}portico/apps/open-flats/")
    page.get_by_label("area", exact=True).fill("2")
    run(page)
    expect(page.locator(".output:visible .value")).to_have_text("15000.0")
    page.locator(".panel:visible").get_by_text("Use it in a program").click()
    expect(page.locator(".program:visible")).to_contain_text("open-flats/run'")
    expect(page.locator(".program:visible")).not_to_contain_text("PORTICO_KEY")
