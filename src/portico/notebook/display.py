"""A service's card in the notebook, kept true while the service lives.

The card is shown once; status changes and exceptions of the app update it in place, from the provider's thread.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from portico.provider import card
from portico.provider.log import Entry
from portico.provider.provider import Provider
from portico.provider.service import Service

_EVERY = 0.5  # seconds between updates of one card: an app that fails at each request must not flood the page


class Cards:
    """The cards of a notebook's services."""

    def __init__(self, shell: Any, provider: Provider) -> None:
        self._provider = provider
        self._live = hasattr(shell, "kernel")
        """A terminal prints a card once; only a front end can update it."""
        self._ids: dict[str, str] = {}
        self._scheduled: set[str] = set()
        self._shell = shell
        self._shown: tuple[str, int] | None = None
        """The card that a cell has just shown: its result, the same service, is not shown again."""
        shell.display_formatter.ipython_display_formatter.for_type(Service, self._display)
        if self._live:
            provider.listener = self.refresh

    def _display(self, service: Service) -> None:
        """Called by IPython for a service that is a cell's result."""
        if self._shown != (service.name, self._shell.execution_count):
            self.show(service)

    def show(self, service: Service) -> None:
        """Show *service*'s card under the running cell; the one that was shown before is not updated any more."""
        from IPython.display import publish_display_data

        self._shown = (service.name, self._shell.execution_count)
        display_id = self._ids[service.name] = uuid.uuid4().hex
        if self._live:
            service.log.listener = lambda entry: self._logged(service, entry)
        publish_display_data(_bundle(service), transient={"display_id": display_id})

    def _logged(self, service: Service, entry: Entry) -> None:
        self.refresh(service)

    def refresh(self, service: Service) -> None:
        """Update the card soon; from the provider's loop."""
        name = service.name
        if name in self._ids and name not in self._scheduled:
            self._scheduled.add(name)
            asyncio.get_running_loop().call_later(_EVERY, self._update, service)

    def _update(self, service: Service) -> None:
        from IPython.display import publish_display_data

        self._scheduled.discard(service.name)
        display_id = self._ids.get(service.name)
        if display_id is not None and self._provider.services.get(service.name, service) is service:
            publish_display_data(_bundle(service), transient={"display_id": display_id}, update=True)


def _bundle(service: Service) -> dict[str, str]:
    return {"text/plain": card.text(service), "text/html": card.html(service)}
