"""A provider's sessions: one for each hub and workspace, made when it is first needed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Coroutine
from typing import Any

from portico.protocol import Limits
from portico.provider.dial import Dial
from portico.provider.discovery import PREVIEW, HubAddress
from portico.provider.presence import Identity, Presence, SessionOwner
from portico.provider.preview import PreviewSession
from portico.provider.session import HubSession
from portico.provider.surroundings import tab
from portico.provider.thread import IN_TAB


class Sessions:
    """Those that a provider has, and what is left of those whose loop has ended."""

    def __init__(
        self, owner: SessionOwner, spawn: Callable[[Coroutine[Any, Any, None]], None], dial: Dial, limits: Limits | None
    ) -> None:
        """*spawn* runs what keeps a session beside everything else; *dial* and *limits* are those of each."""
        self._owner = owner
        self._spawn = spawn
        self._dial = dial
        self._limits = limits
        self.known: dict[tuple[str, str], Presence] = {}
        """By hub and workspace, as they were asked for."""
        self._identities: dict[tuple[str, str], Identity] = {}
        """Of sessions whose thread has died: a hub that knows them gives what was served there back."""

    def to(self, address: HubAddress) -> Presence:
        """The one to that hub, which may still have to be linked."""
        session = self.known.get((address.url, address.workspace))
        if session is None or session.status in ("closed", "refused"):
            session = self._make(address)
            self.known[session.key] = session
            self._spawn(session.run())
        return session

    def _make(self, address: HubAddress) -> Presence:
        if address.rung == PREVIEW:
            return PreviewSession(self._owner, address, tab().page(address.url))
        identity = self._identities.pop((address.url, address.workspace), None)
        return HubSession(self._owner, address, _who(address), dial=self._dial, limits=self._limits, identity=identity)

    def close(self, session: Presence) -> None:
        """Close one that nobody needs any more."""
        if session.status != "closed":
            session.close()
            if self.known.get(session.key) is session:
                del self.known[session.key]

    def abandon(self, forked: bool) -> None:
        """The loop is gone, and with it every link. In a fork (*forked*) links are the parent's, and stay."""
        sessions = list(self.known.values())
        self.known.clear()
        if not forked:
            self._identities = {
                session.key: session.identity
                for session in sessions
                if session.status != "refused" and session.identity is not None
            }
        for session in sessions:
            session.abandon(forked)


def _who(address: HubAddress) -> dict[str, Any]:
    """Who this provider is, for people and for the hub's question after its kernel."""
    return {
        "kind": "tab" if IN_TAB else "kernel" if address.kernel_id else "process",
        "kernel_id": address.kernel_id,
        "notebook": os.environ.get("JPY_SESSION_NAME", ""),
        "pid": os.getpid(),
        "host": platform.node(),
        "python": platform.python_version(),
    }
