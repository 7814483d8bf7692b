"""The session of a kernel in the browser (JupyterLite) with the page that it belongs to: the page is its hub.

Nothing leaves the browser. How the page is reached is the tab's to know (`portico.provider.surroundings.Page`).
"""

from __future__ import annotations

from typing import Any

from portico.errors import PorticoError
from portico.link import NOBODY, StreamHandler
from portico.protocol import ResetCode
from portico.protocol.events import Open
from portico.provider.discovery import HubAddress
from portico.provider.presence import Presence, SessionOwner
from portico.provider.surroundings import Page


class PreviewSession(Presence):
    """What a kernel's services are shown by. Where the page shows none, ``notice`` says why; services live all the
    same, to be shared by relays.
    """

    def __init__(self, owner: SessionOwner, address: HubAddress, page: Page) -> None:
        super().__init__(owner, address)
        self._page = page

    async def run(self) -> None:
        """Greet the page, and stay until `close`."""
        try:
            await self._page.greet()
        except PorticoError as error:
            self.last_error, self.notice = error, str(error)
        if self.status == "connecting":
            self._set_status("linked")
        await self.ended()

    def check(self, descriptor: dict[str, Any]) -> None:
        """Nothing: the page takes messages of any length."""

    async def register(self, descriptor: dict[str, Any]) -> str:
        """Let the page show a service; returns its URL, or nothing where there is no preview."""
        name = descriptor["name"]
        try:
            return await self._page.show(name, self._begin)
        except PorticoError as error:
            self.notice = str(error)
        self._page.hide(name)
        return ""

    async def unregister(self, name: str) -> None:
        """Let the page show a service no more."""
        self._page.hide(name)

    def close(self, reason: str = "the provider is done", code: ResetCode = ResetCode.NO_ERROR) -> None:
        self._page.close()
        super().close(reason, code)

    async def wait_closed(self) -> None:
        """Nothing: the page needs no goodbye."""

    def say_goodbye(self) -> None:
        """Nothing: the page holds no names."""

    @property
    def streams(self) -> int:
        return self._page.streams

    def _begin(self, carrier: Any, request: Open) -> StreamHandler:
        if self._owner.serves(self, request.service):
            return self._owner.open(self, carrier, request)
        carrier.reset(ResetCode.REFUSED, f"{request.service!r} is not served here any more")
        carrier.release()
        return NOBODY
