"""Chromium, as the tests drive it: fresh, without a display, and with nowhere to go but this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import fastapi_offline
from playwright.sync_api import Browser, BrowserContext, Playwright, Request, Route, WebSocket

PATH = shutil.which("chromium") or ("/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else "")

SHOWN_WITHIN = 30_000
"""Milliseconds; a page of JupyterLab takes some seconds on a busy machine."""

_ARGUMENTS = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What FastAPI's docs page loads from a CDN, from a package instead.
_SWAGGER = Path(fastapi_offline.__file__).parent / "static"


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=PATH, args=_ARGUMENTS)


@contextmanager
def visitor(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """A visitor with no cookies. Raises `AssertionError` in the end if anything was asked of another machine."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(SHOWN_WITHIN)
    strayed: list[str] = []

    def asked(request: Request | WebSocket) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and not _is_here(parts.hostname) and not _file(request.url):
            strayed.append(request.url)

    def answer(route: Route) -> None:
        file = _file(route.request.url)
        if file:
            route.fulfill(path=file)
        elif _is_here(urlsplit(route.request.url).hostname):
            route.fallback()
        else:
            route.abort()

    context.on("request", asked)
    context.on("page", lambda page: page.on("websocket", asked))
    context.route(re.compile("^https?://(?!127[.]0[.]0[.]1[:/])"), answer)
    try:
        yield context
    finally:
        context.close()
    assert not strayed, f"asked of other machines: {strayed}"


def _is_here(host: str | None) -> bool:
    return host in ("127.0.0.1", "localhost") or (host or "").endswith(".localhost")


def _file(url: str) -> Path | None:
    name = url.rpartition("/")[2]
    if "swagger-ui-dist" in url or url.startswith("https://fastapi.tiangolo.com/img/"):
        return _SWAGGER / name
    return None
