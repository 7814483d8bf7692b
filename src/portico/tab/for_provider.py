"""What a provider is given of the tab that it runs in: this module is a `portico.provider.surroundings.Tab`.

Each part is imported when it is asked for: a tab that serves by a relay needs no preview.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portico.tab.preview import PreviewPage


def install() -> None:
    """Let synchronous code run where there are no threads; once in a process."""
    from portico.tab import shim

    shim.install()


def page(url: str) -> PreviewPage:
    """The page of the site at *url* whose kernel this is."""
    from portico.tab.preview import PreviewPage

    return PreviewPage(url)


async def fetch(url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
    """An answer's status and its text. Raises `LinkClosed`."""
    from portico.tab import requests

    return await requests.fetch(url, method, headers, data)


def fetch_sync(url: str, method: str, headers: dict[str, str], data: bytes | None) -> tuple[int, str]:
    """`fetch`, waited for."""
    from portico.tab import requests

    return requests.fetch_sync(url, method, headers, data)
