"""A real browser tab that runs Python for tests: Pyodide in a page's worker, from a server of this machine.

``python -m tests.live_tab BUNDLE PROGRAM`` runs a program in a tab of its own, says ``live`` once that has ended, and
keeps the tab until it is told to end (SIGTERM).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.browser import chromium

_PAGES = Path(__file__).with_name("tab")


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - as its base has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".whl": "application/zip",
    }
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")  # pages of a Jupyter server load from here too
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None: ...


@contextmanager
def site(bundle: Path) -> Iterator[str]:
    """Serve *bundle* (see `tests.pyodide.environment`) and the pages of tests/tab; the URL, with a slash."""
    for path in _PAGES.iterdir():
        shutil.copy(path, bundle)
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Handler(*given, directory=str(bundle)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="tab-site")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def open_tab(page: Page, site: str) -> None:
    """Let *page* load Pyodide; `run` works then."""
    page.goto(site)
    page.wait_for_function("() => window.run !== undefined", polling=50)


def run(page: Page, code: str, *, plainly: bool = False) -> str:
    """Run Python in the tab, and wait for it; its value as text. An exception there is Playwright's here.

    *plainly*: by ``pyodide.runPythonAsync``, so that JavaScript is what awaits the value.
    """
    return str(page.evaluate("([code, plainly]) => window.run(code, plainly)", [code, plainly]))


@contextmanager
def running(bundle: Path, program: Path) -> Iterator[None]:
    """A tab that has run *program*, driven by a process of its own: Playwright keeps a loop running in its thread."""
    command = [sys.executable, "-m", "tests.live_tab", str(bundle), str(program)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"live\n"
        try:
            yield
        finally:
            driver.terminate()


def main(bundle: str, program: str) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    with sync_playwright() as playwright, site(Path(bundle)) as url:
        browser = chromium.launch(playwright)
        with chromium.visitor(browser) as context:
            page = context.new_page()
            open_tab(page, url)
            run(page, Path(program).read_text("utf-8"))
            print("live", flush=True)
            threading.Event().wait()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
