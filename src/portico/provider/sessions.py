"""A provider's sessions: one for each hub and workspace, made when it is first needed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Coroutine
from typing import Any

from portico.protocol import Limits
from portico.provider.board import Board
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
        self,
        owner: SessionOwner,
        board: Board,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        dial: Dial,
        limits: Limits | None,
    ) -> None:
        """*board* says what they are needed for; *spawn* runs what keeps a session beside everything else."""
        self._owner = owner
        self._board = board
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

    async def keep(self, address: HubAddress, timeout: float) -> Presence:
        """The one to that hub, linked, to stay though nothing is published there. Raises `Refused` or `LinkClosed`."""
        session = self.to(address)
        session.kept = True
        try:
            await session.linked(timeout)
        except BaseException:
            session.kept = False
            self.close_if_unused(session)
            raise
        return session

    def is_used(self, session: Presence) -> bool:
        """Whether it is kept, or something is published on it, or the hub must still be told what is not any more."""
        return session.kept or bool(self._board.on(session)) or (session.status == "connecting" and session.holds)

    def close_if_unused(self, session: Presence) -> None:
        """Close one that nobody needs any more. One that waits for its hub is closed when that has been told."""
        if not self.is_used(session) and session.status != "closed":
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
