"""JupyterLab and Notebook 7, driven as a person does: by keys and clicks."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import nbformat
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.live_jupyter import JupyterServer


def write(server: JupyterServer, name: str, cells: list[str]) -> None:
    """Put a notebook with these code cells where *server* has its notebooks."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, Path(server.root) / name)


class Lab:
    """A notebook that is open in a tab, its kernel ready."""

    def __init__(self, visitor: BrowserContext, server: JupyterServer, name: str, view: str = "") -> None:
        self.page: Page = visitor.new_page()
        self.page.goto(f"{server.url}{view or self._new_workspace()}/{name}?token={server.token}")
        if view:
            ready = self.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        else:
            ready = self.page.get_by_text("| Idle")
        expect(ready).to_be_attached(timeout=60_000)
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
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))
        return cell
