"""The page of JupyterLite that a kernel in the browser belongs to, as what shows the kernel's services.

Portico's extension for JupyterLab hears the kernel's worker, and shows what it serves through a service worker
(js/packages/portico-labextension). Nothing leaves the browser. The site has to have the extension, which comes with
Portico where the site is built.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from portico.errors import LinkClosed, Refused
from portico.tab.bridge import Begin, Requests

_WELCOME_WITHIN = 20.0  # seconds that a page with the extension has: it may be busy with its own start
_SHOW_WITHIN = 15.0  # seconds that it has to register the service worker, which the browser may have to fetch

NO_EXTENSION = (
    "There is no preview: this JupyterLite site was built without Portico (its admin installs portico where "
    "`jupyter lite build` runs). A link by a relay works: %serve app --share --relay https://..."
)


class PreviewPage:
    """`portico.provider.surroundings.Page` of the site at *url*."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._page: Any = None
        """`Kernel` of js/packages/portico-labextension/src/kernel.ts."""
        self._told: Any = None
        self._welcome: asyncio.Future[str] | None = None
        self._shown: dict[str, _Shown] = {}
        self._by_id: dict[int, _Shown] = {}
        self._last = 0

    async def greet(self) -> None:
        """Find out whether the page shows anything. Raises why it does not: `Refused` or `LinkClosed`."""
        import js
        from pyodide.code import run_js
        from pyodide.ffi import create_proxy

        found = await js.fetch(self._url + "extensions/portico/package.json")
        if not found.ok:
            raise Refused(NO_EXTENSION, "no_extension")
        self._welcome = asyncio.get_running_loop().create_future()
        self._told = create_proxy(self._hear)
        greet = run_js((Path(__file__).parents[1] / "static" / "kernel.js").read_text("utf-8"))
        self._page = greet(self._told)
        try:
            async with asyncio.timeout(_WELCOME_WITHIN):
                await self._welcome
        except TimeoutError:
            self._page = None
            raise LinkClosed(
                "There is no preview: the site has Portico's extension, but this page does not answer. Is the "
                "extension turned off, or the page older than it? Reload the page."
            ) from None

    def _hear(self, what: str, id: int, text: str) -> None:
        waiting = self._welcome if id < 0 else self._by_id[id].url if id in self._by_id else None
        if waiting is None or waiting.done():
            return
        if what == "failed":
            waiting.set_exception(Refused(f"There is no preview: {text}", "no_preview"))
        else:
            waiting.set_result(text)

    async def show(self, name: str, begin: Begin) -> str:
        """Let the page show a service; returns its URL, or nothing where the page shows none.

        *begin* is called for each request. Raises `Refused` or `LinkClosed`.
        """
        if self._page is None:
            return ""
        shown = self._shown.get(name)
        if shown is None:
            self._last += 1
            shown = self._shown[name] = self._by_id[self._last] = _Shown(self._last, begin, name)
            shown.exchanges = self._page.serve(shown.id, name, shown.requests.expose())
            shown.requests.exchanges = shown.exchanges
        try:
            async with asyncio.timeout(_SHOW_WITHIN):
                return await asyncio.shield(shown.url)
        except TimeoutError:
            raise LinkClosed("There is no preview: the page did not show it in time.") from None

    def hide(self, name: str) -> None:
        """Let the page show a service no more. Nothing, if it does not."""
        shown = self._shown.pop(name, None)
        if shown is not None:
            del self._by_id[shown.id]
            self._page.stop(shown.id)
            shown.requests.hide()

    def close(self) -> None:
        """Let the page show nothing any more."""
        for name in tuple(self._shown):
            self.hide(name)

    @property
    def streams(self) -> int:
        """How many requests are under way."""
        return sum(int(shown.exchanges.inFlight) for shown in self._shown.values())


class _Shown:
    """A service that the page shows, or is asked to."""

    def __init__(self, id: int, begin: Begin, name: str) -> None:
        self.id = id
        self.requests = Requests(begin, name)
        self.exchanges: Any = None
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
