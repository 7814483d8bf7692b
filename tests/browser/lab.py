"""JupyterLab and Notebook 7, driven as a person does: by keys and clicks."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import nbformat
from playwright.sync_api import BrowserContext, Error, Locator, Page, expect

from tests.live_jupyter import JupyterServer


def write(server: JupyterServer, name: str, cells: list[str]) -> None:
    """Put a notebook with these code cells where *server* has its notebooks."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, Path(server.root) / name)


_KERNEL_IS_IDLE = """async name => {
  const sessions = await (await fetch('/api/sessions')).json()
  return sessions.some(({path, kernel}) => path == name && kernel.execution_state == 'idle' && kernel.connections)
}"""


def close_kernels(server: JupyterServer) -> None:
    """End what notebooks have left running, and with it what they serve."""
    for session in server.api("GET", "api/sessions"):
        server.api("DELETE", f"api/sessions/{session['id']}")


def show(locator: Locator) -> None:
    """Scroll to *locator*, which its page may make anew meanwhile: then to what is there in its place."""
    for attempt in range(10):
        expect(locator).to_be_attached()
        try:
            locator.scroll_into_view_if_needed()
            return
        except Error as error:
            if "not attached" not in str(error) or attempt == 9:
                raise


def focus(locator: Locator) -> None:
    """Give *locator* the focus, as Tab would; likewise."""
    for attempt in range(10):
        locator.focus()
        try:
            expect(locator).to_be_focused(timeout=3_000)
            return
        except AssertionError:
            if attempt == 9:
                raise


class Lab:
    """A notebook that is open in a tab, its kernel ready."""

    def __init__(self, visitor: BrowserContext, server: JupyterServer, name: str, view: str = "") -> None:
        self.page: Page = visitor.new_page()
        self.page.goto(f"{server.url}{view or self._new_workspace()}/{name}?token={server.token}")
        expect(self.page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=60_000)
        self.page.wait_for_function(_KERNEL_IS_IDLE, arg=name, timeout=60_000)
        if not view:
            expect(self.page.get_by_text("| Idle")).to_be_attached(timeout=60_000)
        self._count = len(nbformat.read(Path(server.root) / name, as_version=4).cells)
        self.cells = self.page.locator(".jp-Notebook .jp-CodeCell")
        self.cards: Locator = self.page.locator(".portico-card")

    @staticmethod
    def _new_workspace() -> str:
        """Where JupyterLab has no tabs yet of whoever was here before."""
        return f"lab/workspaces/{uuid.uuid4().hex}/tree"

    def run_all(self) -> None:
        """Shift+Enter, from the first cell to the last."""
        self.page.locator(".jp-Notebook .jp-Cell").first.click()
        self.page.keyboard.press("Escape")
        for _ in range(self._count):
            self.page.keyboard.press("Shift+Enter")

    def run(self, number: int) -> Locator:
        """Run one code cell, and return it once it has run."""
        cell = self.cells.nth(number)
        prompt = cell.locator(".jp-InputPrompt")
        before = prompt.inner_text()
        for attempt in range(5):
            cell.locator(".cm-content").click()
            self.page.keyboard.press("Control+Enter")
            try:
                expect(prompt).not_to_have_text(before, timeout=3_000)
                break
            except AssertionError:  # a page that has just been opened takes the focus, and the key goes nowhere
                if attempt == 4:
                    raise
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=30_000)
        return cell
