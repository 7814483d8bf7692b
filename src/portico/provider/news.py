"""What has become of publications: their status, who is told when it changes, and who waits until one is live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portico.errors import LinkClosed
from portico.listeners import Listeners
from portico.provider.publication import Publication
from portico.provider.service import Service


class News:
    """For one provider; all of it on the provider's loop, but `subscribe`."""

    def __init__(self) -> None:
        self._listeners: Listeners[Service] = Listeners()
        self._next = asyncio.Event()
        """Set, and replaced, when a publication's status changes."""

    def subscribe(self, listener: Callable[[Service], object]) -> Callable[[], None]:
        """Tell *listener* of each service that looks different now; returns what ends that."""
        return self._listeners.subscribe(listener)

    def set_status(self, publication: Publication, status: str, error: str = "") -> None:
        """Note what has become of *publication*, and why, and tell of it."""
        publication.status, publication.error = status, error
        self._next.set()
        self._next = asyncio.Event()
        self.changed(publication)

    def changed(self, publication: Publication) -> None:
        """Tell who listens that a service, or a share of it, looks different now."""
        home = publication._home
        assert isinstance(home, Service)
        self._listeners.tell(home)

    async def live(self, publication: Publication) -> None:
        """Wait until *publication* is live. Raises why it is not."""
        while publication.status in ("starting", "reconnecting"):
            await self._next.wait()
        if publication.status in ("failed", "stopped"):
            raise publication.failure or LinkClosed(publication.error or "it was stopped")
