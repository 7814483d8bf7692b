"""JupyterLite, driven as a person does: by keys and clicks."""

from __future__ import annotations

import re
from urllib.parse import quote

from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, expect

START = 120_000  # milliseconds for Python, IPython and Portico to be loaded, on a busy machine
_RAN = re.compile(r"\[\d+\]")


class Repl:
    """JupyterLite's console, in a tab of its own. Its cells are run one after another."""

    def __init__(self, visitor: BrowserContext, site: str, first: str) -> None:
        """*first* is run as soon as there is a kernel: the console takes it from its URL."""
        self.page: Page = visitor.new_page()
        self.page.goto(f"{site}repl/index.html?kernel=python&execute=1&code={quote(first)}")
        self.cells = self.page.locator(".jp-CodeConsole-content .jp-CodeCell")
        expect(self.cells.first.locator(".jp-InputPrompt")).to_have_text(_RAN, timeout=START)

    def run(self, code: str) -> Locator:
        """Type *code*, run it, and return its cell once it has run."""
        return self.ran(self.begin(code))

    def begin(self, code: str) -> Locator:
        """Type *code*, run it, and return its cell."""
        number = self.cells.count()
        prompt = self.page.locator(".jp-CodeConsole-promptCell .cm-content")
        prompt.click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        return self.cells.nth(number)

    def ran(self, cell: Locator) -> Locator:
        """Wait until *cell* has run; returns it."""
        expect(cell.locator(".jp-InputPrompt")).to_have_text(_RAN, timeout=START)
        return cell


class Notebook:
    """A notebook in JupyterLite's Lab."""

    def __init__(self, visitor: BrowserContext, site: str, name: str) -> None:
        self.page: Page = visitor.new_page()
        self.page.goto(f"{site}lab/index.html?path={quote(name)}")
        self.cells = self.page.locator(".jp-Notebook .jp-CodeCell")
        expect(self.cells.first).to_be_visible(timeout=START)
        expect(self.page.get_by_text("| Idle")).to_be_attached(timeout=START)

    def run(self, number: int) -> Locator:
        """Run one code cell, and return it once it has run."""
        cell = self.cells.nth(number)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(_RAN, timeout=START)
        return cell


def card(cell: Locator) -> Locator:
    return cell.locator(".portico-card")


def frame(cell: Locator) -> FrameLocator:
    """What the service shows, below its card."""
    return cell.frame_locator(".portico-frame")


def error(cell: Locator) -> Locator:
    return cell.locator(
        "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    )
