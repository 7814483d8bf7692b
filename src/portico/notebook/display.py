"""A service's card in the notebook, kept true while the service lives.

A card is shown by the cell that serves; status changes and exceptions of the app update it in place, from the
provider's thread. All cards of one name have one display id, so that none of them is left behind. What is kept between
updates are names and `CardState`s, never a service.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

from portico.calls.log import Entry, Log
from portico.card import render
from portico.card.state import CardState
from portico.errors import PorticoError, StartupFailed
from portico.provider.login import Challenge
from portico.provider.provider import Provider
from portico.provider.service import Service, newest_failure
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
        self._last: dict[str, CardState] = {}
        """What was shown last of each name, or is to be shown of one that is gone."""
        self._shell = shell
        self._shown: tuple[str, int] | None = None
        """The card that a cell has just shown: its result, the same service, is not shown again."""
        self._leave_provider: Callable[[], None] | None = None
        self._leave_logs: dict[str, Callable[[], None]] = {}
        """What ends the listening to the log of each name's service."""
        shell.display_formatter.ipython_display_formatter.for_type(Service, self._display)
        if self._live:
            self._leave_provider = provider.subscribe(self._changed)

    def close(self) -> None:
        """Keep the cards true no longer: they stay as they are."""
        if self._leave_provider is not None:
            self._leave_provider()
        while self._leave_logs:
            self._leave_logs.popitem()[1]()

    def name_cells(self, traceback: str) -> str:
        """Call the cells in *traceback* as the notebook does, by their numbers."""
        name_of = getattr(self._shell.compile, "format_code_name", lambda path: None)

        def name(match: re.Match[str]) -> str:
            label = name_of(match[1])
            return " ".join(label) if label else match[0]

        return _FILE.sub(name, traceback)

    def why(self, error: PorticoError) -> str:
        """*error* for its reader: what it says, or where in their own code it began."""
        if error.__cause__ is None or not isinstance(error, StartupFailed):
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
        name = service.name
        self._shown = (name, self._shell.execution_count)
        if self._live:
            former = self._leave_logs.pop(name, None)
            self._leave_logs[name] = service.log.subscribe(partial(self._logged, name, service.log))
            if former is not None:
                former()
        service.log.rename = self.name_cells
        known = name in self._ids
        display_id = self._ids.setdefault(name, uuid.uuid4().hex)
        state = service.card_state()
        _publish(_bundle(state), display_id)
        if known and self._live:
            _publish(_bundle(state), display_id, update=True)
        if self._live:
            self._show_frame(state)

    def _show_frame(self, state: CardState) -> None:
        """Show a preview in a frame. Not a part of the card: each update of that would load the page anew."""
        frame = render.frame(state)
        if frame or (IN_TAB and state.status == "starting"):  # its place is in this cell, though it comes later
            self._frames[state.name] = frame
            _publish(_framed(state, frame), _frame_id(self._ids[state.name]))

    def reload(self, service: Service) -> None:
        """Its app is another: show the new one's page."""
        state = service.card_state()
        frame = render.frame(state)
        if state.name in self._frames and frame:
            self._reloads += 1
            frame = f"{frame}<!-- {self._reloads} -->"  # a front end shows what it has already as it is
            _publish(_framed(state, frame), _frame_id(self._ids[state.name]), update=True)

    def _changed(self, service: Service) -> None:
        """Called by the provider."""
        name = service.name
        if name in self._ids and self._provider.services.get(name, service) == service:
            self._last[name] = service.card_state()
            self.refresh(name)

    def _logged(self, name: str, log: Log, entry: Entry) -> None:
        """Called by a service's log; perhaps while its app shuts down, when the service is gone."""
        if name not in self._provider.services and (last := self._last.get(name)) is not None:
            self._last[name] = replace(last, failure=newest_failure(log))
        self.refresh(name)

    def refresh(self, name: str) -> None:
        """Update the card soon; from the provider's loop, or at once where that has ended."""
        if name not in self._ids:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread of the app's, or the provider's at its end
            if self._provider.thread.loop is not None:
                self._provider.thread.call(self.refresh, name)
            else:
                self._update(name)
            return
        if name not in self._scheduled:
            self._scheduled.add(name)
            loop.call_later(_EVERY, self._update, name)

    def _update(self, name: str) -> None:
        self._scheduled.discard(name)
        service = self._provider.services.get(name)
        if service is not None:
            self._last[name] = service.card_state()
        state = self._last.get(name)
        if state is None:
            return
        display_id = self._ids[name]
        _publish(_bundle(state), display_id, update=True)
        frame = render.frame(state)
        if self._frames.get(name, frame) != frame:
            self._frames[name] = frame
            _publish(_framed(state, frame), _frame_id(display_id), update=True)


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


def _framed(state: CardState, frame: str) -> dict[str, str]:
    return {"text/plain": f"(the pages of {state.name})" if frame else "", "text/html": frame}


def _bundle(state: CardState) -> dict[str, str]:
    return {"text/plain": render.text(state), "text/html": render.html(state)}
