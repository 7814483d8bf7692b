"""A service's card in the notebook, kept true while the service lives.

A card is shown by the cell that serves; status changes and exceptions of the app update it in place, from the
provider's thread. All cards of one name have one display id, so that none of them is left behind.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from html import escape
from typing import Any

from portico.calls.log import Entry
from portico.card import render as card
from portico.errors import PorticoError
from portico.provider.login import Challenge
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.thread import IN_TAB

_EVERY = 0.5  # seconds between updates of one card: an app that fails at each request must not flood the page

_FILE = re.compile(r'File "([^"]+)"')


class Cards:
    """The cards of a notebook's services."""

    def __init__(self, shell: Any, provider: Provider) -> None:
        self._provider = provider
        self._live = hasattr(shell, "kernel")
        """A terminal prints a card once; only a front end can update it."""
        self._ids: dict[str, str] = {}
        self._frames: dict[str, str] = {}
        self._reloads = 0
        self._scheduled: set[str] = set()
        self._shell = shell
        self._shown: tuple[str, int] | None = None
        """The card that a cell has just shown: its result, the same service, is not shown again."""
        shell.display_formatter.ipython_display_formatter.for_type(Service, self._display)
        if self._live:
            provider.subscribe(self.refresh)

    def name_cells(self, traceback: str) -> str:
        """Call the cells in *traceback* as the notebook does, by their numbers."""
        name_of = getattr(self._shell.compile, "format_code_name", lambda path: None)

        def name(match: re.Match[str]) -> str:
            label = name_of(match[1])
            return " ".join(label) if label else match[0]

        return _FILE.sub(name, traceback)

    def why(self, error: PorticoError) -> str:
        """*error* for its reader: what it says, or where in their own code it began."""
        if error.__cause__ is None:
            return str(error)
        # Its text may be the cause's traceback through every library (Starlette's is).
        cause = Entry("startup", error.__cause__, self.name_cells)
        return f"the app's own code failed: {cause.summary}\n{cause.own}".rstrip()

    def _display(self, service: Service) -> None:
        """Called by IPython for a service that is a cell's result."""
        if self._shown != (service.name, self._shell.execution_count):
            self.show(service)

    def show(self, service: Service) -> None:
        """Show *service*'s card under the running cell. Other cards of that name are kept true with it."""
        self._shown = (service.name, self._shell.execution_count)
        if self._live:
            service.log.listener = lambda entry: self._logged(service, entry)
        service.log.rename = self.name_cells
        known = service.name in self._ids
        display_id = self._ids.setdefault(service.name, uuid.uuid4().hex)
        _publish(_bundle(service), display_id)
        if known and self._live:
            _publish(_bundle(service), display_id, update=True)
        if self._live:
            self._show_frame(service)

    def _show_frame(self, service: Service) -> None:
        """Show a preview in a frame. Not a part of the card: each update of that would load the page anew."""
        frame = card.frame(service)
        if frame or (IN_TAB and service.status == "starting"):  # its place is in this cell, though it comes later
            self._frames[service.name] = frame
            _publish(_framed(service, frame), _frame_id(self._ids[service.name]))

    def reload(self, service: Service) -> None:
        """Its app is another: show the new one's page."""
        frame = card.frame(service)
        if service.name in self._frames and frame:
            self._reloads += 1
            frame = f"{frame}<!-- {self._reloads} -->"  # a front end shows what it has already as it is
            _publish(_framed(service, frame), _frame_id(self._ids[service.name]), update=True)

    def _logged(self, service: Service, entry: Entry) -> None:
        self.refresh(service)

    def refresh(self, service: Service) -> None:
        """Update the card soon; from the provider's loop, or at once where that has ended."""
        name = service.name
        if name not in self._ids:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread of the app's, or the provider's at its end
            if self._provider.thread.loop is not None:
                self._provider.thread.call(self.refresh, service)
            else:
                self._update(service)
            return
        if name not in self._scheduled:
            self._scheduled.add(name)
            loop.call_later(_EVERY, self._update, service)

    def _update(self, service: Service) -> None:
        self._scheduled.discard(service.name)
        display_id = self._ids.get(service.name)
        if display_id is not None and self._provider.services.get(service.name, service) == service:
            _publish(_bundle(service), display_id, update=True)
            frame = card.frame(service)
            if self._frames.get(service.name, frame) != frame:
                self._frames[service.name] = frame
                _publish(_framed(service, frame), _frame_id(display_id), update=True)


def show_login(challenge: Challenge) -> None:
    """Tell who reads the notebook what to do in a browser."""
    url = challenge.complete_url or challenge.url
    link = f'<a href="{escape(url, quote=True)}" target="_blank" rel="noopener">{escape(challenge.url)}</a>'
    code = f"<code>{escape(challenge.code)}</code>"
    bundle = {
        "text/plain": f"Open {url} and check that it shows this code: {challenge.code}",
        "text/html": f"<div>Open {link} and check that it shows this code: {code}</div>",
    }
    _publish(bundle, uuid.uuid4().hex)


def _publish(bundle: dict[str, str], display_id: str, *, update: bool = False) -> None:
    from IPython.display import publish_display_data

    publish_display_data(bundle, transient={"display_id": display_id}, update=update)


def _frame_id(display_id: str) -> str:
    return f"{display_id}-frame"


def _framed(service: Service, frame: str) -> dict[str, str]:
    return {"text/plain": f"(the pages of {service.name})" if frame else "", "text/html": frame}


def _bundle(service: Service) -> dict[str, str]:
    return {"text/plain": card.text(service), "text/html": card.html(service)}
