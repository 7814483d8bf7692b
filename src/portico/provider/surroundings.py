"""What a provider needs of the browser tab that it runs in, under Pyodide.

The tab's own room (`portico.tab`) and this one do not know each other: `portico/__init__.py` hands it over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from portico.errors import LocalError

if TYPE_CHECKING:
    from portico.link import StreamHandler
    from portico.protocol.events import Open


class Page(Protocol):
    """A page that shows what its kernel serves, in place of a hub."""

    async def greet(self) -> None:
        """Find out whether it shows anything. Raises why it does not: `Refused` or `LinkClosed`."""

    async def show(self, name: str, begin: Callable[[Any, Open], StreamHandler]) -> str:
        """Let it show a service; returns its URL, or nothing where the page shows none.

        *begin* is called for each request, with a `portico.asgi.carrier.Carrier`. Raises `Refused` or `LinkClosed`.
        """

    def hide(self, name: str) -> None:
        """Let it show a service no more. Nothing, if it does not."""

    def close(self) -> None:
        """Let it show nothing any more."""

    @property
    def streams(self) -> int:
        """How many requests are under way."""


class Tab(Protocol):
    """A browser tab, from Python."""

    def install(self) -> None:
        """Let synchronous code run where there are no threads; once in a process."""

    def page(self, url: str) -> Page:
        """The page of the site at *url* whose kernel this is."""

    async def fetch(self, url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
        """An answer's status and its text. Raises `LinkClosed`."""

    def fetch_sync(self, url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
        """`fetch`, waited for."""


_find: Callable[[], Tab] | None = None


def hand_tab(find: Callable[[], Tab]) -> None:
    """Let providers have the tab that *find* gives, which is called when one is first needed."""
    global _find
    _find = find


def tab() -> Tab:
    """The tab that this process runs in. Raises `LocalError` where it runs in none."""
    if _find is None:
        raise LocalError("this runs in no browser tab")
    return _find()
