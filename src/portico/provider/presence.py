"""A provider's presence at one hub: whether it is let in, and what is done there. Not how the hub is reached.

`portico.provider.session` is the one with a hub at the other end of a link.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from portico.errors import LinkClosed, PorticoError
from portico.link import Stream, StreamHandler
from portico.protocol import ResetCode
from portico.protocol.events import Open
from portico.provider.discovery import HubAddress

_WELCOME_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a hub knows a session: its id, how many links it has had, and the names that the hub may hold for it."""

    id: str
    epoch: int
    held: frozenset[str]


class SessionOwner(Protocol):
    """What a session needs from its provider."""

    def open(self, session: Presence, stream: Stream, request: Open) -> StreamHandler: ...

    def registered_on(self, session: Presence) -> list[dict[str, Any]]:
        """The descriptors to register again after a reconnect."""

    def serves(self, session: Presence, name: str) -> bool:
        """Whether *name* is served on the session still, or is about to be."""

    def session_changed(self, session: Presence) -> None:
        """The session was linked, or lost its link (see `Presence.status`)."""

    def registered(self, session: Presence, name: str, url: str) -> None: ...

    def lost(self, session: Presence, name: str, error: PorticoError) -> None:
        """The hub does not have *name* any more, and will not take it back from this session."""


class Presence(ABC):
    """A session, as a provider sees it: what it knows of it, waits for and asks."""

    def __init__(self, owner: SessionOwner, address: HubAddress) -> None:
        self.address = address
        """With what the hub has said in WELCOME: the workspace, and the token of a provider that had none."""
        self.key = (address.url, address.workspace)
        """What the provider asked for, which stays as it was."""
        self.base_url = ""
        """Where the hub's services are, once it has said so. Ends with a slash."""
        self.hub_info: dict[str, Any] = {}
        self.status = "connecting"
        """``connecting``, ``linked``, ``refused`` or ``closed``."""
        self.last_error: PorticoError | None = None
        self.notice = ""
        """What whoever serves there should know of it, in plain words."""
        self.kept = False
        """Whether it lasts though nothing is published on it: someone may yet."""
        self._owner = owner
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        """Set when the session is linked or has given up."""

    def _set_status(self, status: str) -> None:
        self.status = status
        if status == "connecting":
            self._settled.clear()
        else:
            self._settled.set()
        self._changed.set()
        self._owner.session_changed(self)

    async def linked(self, timeout: float = _WELCOME_TIMEOUT) -> None:
        """Wait until the hub has let this provider in. Raises `Refused` or `LinkClosed`, whichever is why not."""
        try:
            async with asyncio.timeout(timeout):
                await self._settled.wait()
        except TimeoutError:
            raise self.last_error or LinkClosed(f"the hub at {self.address.url} did not answer in time") from None
        if self.status != "linked":
            raise self.last_error or LinkClosed("the session is closed")

    async def ended(self) -> None:
        """Wait until the session is closed, or refused for good."""
        while self.status not in ("closed", "refused"):
            self._changed.clear()
            await self._changed.wait()

    @abstractmethod
    async def run(self) -> None:
        """Keep it until `close`, or until the hub refuses for good."""

    @abstractmethod
    def check(self, descriptor: dict[str, Any]) -> None:
        """Raise `InvalidOption` if *descriptor* is more than can be said to the hub, as far as that is known now."""

    @abstractmethod
    async def register(self, descriptor: dict[str, Any]) -> str:
        """Publish a service; returns its URL.

        Raises `NameTaken` or `Refused` when the hub says no, `LinkClosed` when the link is lost meanwhile, and
        `InvalidOption` as `check` does.
        """

    @abstractmethod
    async def unregister(self, name: str) -> None:
        """Take a service back."""

    def close(self, reason: str = "the provider is done", code: ResetCode = ResetCode.NO_ERROR) -> None:
        """Close it for good. For *code* see `HubSession.close`."""
        if self.status != "closed":
            self._set_status("closed")

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until all has ended that `close` has told goodbye."""

    def abandon(self, forked: bool) -> None:
        """The loop does not run any more. *forked*: this process is not the one whose loop it was."""
        self.status = "closed"

    @abstractmethod
    def say_goodbye(self) -> None:
        """Take no new streams; `close` comes next, with any code but NO_ERROR. Names are held as for a lost link."""

    @property
    @abstractmethod
    def streams(self) -> int:
        """How many requests are under way."""

    @property
    def no_room(self) -> str:
        """Why the hub turned this provider away, if that is why there is no link; else empty."""
        return ""

    @property
    def holds(self) -> bool:
        """Whether the hub may hold a name for this session."""
        return False

    @property
    def identity(self) -> Identity | None:
        """What a session that continues this one has to know, if a hub would know it by that."""
        return None
