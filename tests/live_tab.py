"""A real browser tab that runs Python for tests: Pyodide in a page's worker, from a server of this machine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

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
    page.wait_for_function("() => window.run !== undefined")


def run(page: Page, code: str) -> str:
    """Run Python in the tab, and wait for it; its value as text. An exception there is Playwright's here."""
    return str(page.evaluate("code => window.run(code)", code))
