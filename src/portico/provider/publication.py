"""One thing, live on one hub: what a service and a share have in common, and what their authors may ask of both.

`Publication` says what it is; `Publisher` is what it asks of the provider that keeps it. How it is brought to a hub,
and kept there, is the provider's (`portico.provider.provider`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from portico.calls.log import Log
from portico.errors import LinkClosed, PorticoError
from portico.link import Stream, StreamHandler
from portico.protocol.events import Open
from portico.provider import api
from portico.provider.discovery import HubAddress
from portico.provider.options import LastTerms
from portico.provider.presence import Presence
from portico.provider.thread import LoopThread
from portico.provider.work import Work
from portico.types import ServiceName

P = TypeVar("P", bound="Publication")

_NOWHERE = HubAddress("", "", "nowhere yet")


class Statuses(Protocol):
    """What has become of publications. On the provider's loop."""

    def set_status(self, publication: Publication, status: str, error: str = "") -> None:
        """Note what has become of it, and why, and tell of it."""

    def changed(self, publication: Publication) -> None:
        """Tell who listens that it looks different now."""


class Publisher(Protocol):
    """What a publication asks of the provider that keeps it. Coroutines are to run on the provider's loop."""

    @property
    def thread(self) -> LoopThread: ...

    @property
    def sessions(self) -> Mapping[tuple[str, str], Presence]:
        """By hub and workspace, as they were asked for."""

    @property
    def last_terms(self) -> LastTerms:
        """Of the links that there were."""

    @property
    def work(self) -> Work: ...

    @property
    def news(self) -> Statuses: ...

    def published(self) -> Iterable[Publication]:
        """What is published now, or about to be."""

    async def share(self, share: P) -> P:
        """Publish a share. Raises `Refused`, `NameTaken` or `LinkClosed`."""

    async def stop(self, publication: Publication) -> None:
        """Take it back; requests in flight may end."""

    async def live(self, publication: P) -> P:
        """Wait until it is live, or raise why it is not. May be awaited on any loop."""

    async def republish(self, publication: Publication) -> None:
        """Tell the hubs what it is now."""


@dataclass(eq=False, repr=False)
class Publication(ABC):
    """A name that is live on a hub. Its ``url`` ends with a slash."""

    _VERBS = ("publish", "publishing", "published")
    """What its author does with it, for people."""

    name: ServiceName
    provider: Publisher = field(kw_only=True)
    access: str = field(default="private", kw_only=True)
    """Who may open it."""
    conditions: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """What is asked of visitors besides, as the hub reads it."""
    address: HubAddress = field(default=_NOWHERE, kw_only=True)
    """Where the hub is that it is published on, or is to be."""
    url: str = field(default="", kw_only=True)
    status: str = field(default="starting", kw_only=True)
    """``starting``, ``live``, ``reconnecting``, ``stopped``, or ``failed``; of a share also ``expired``."""
    error: str = field(default="", kw_only=True)
    """Why it failed or stopped, in plain words."""
    session: Presence | None = field(default=None, kw_only=True)
    failure: PorticoError | None = field(default=None, kw_only=True)
    """The exception behind ``failed``."""
    log: Log = field(init=False)
    """What went wrong in the app behind it."""

    # --- what the provider asks of it, on its loop; no author needs to ------------------------------------------

    @property
    @abstractmethod
    def _home(self) -> Publication:
        """The service that it is, or is another way to."""

    @abstractmethod
    def descriptor(self) -> dict[str, Any]:
        """What the hub is told of it (docs/protocol.md, REGISTER)."""

    @abstractmethod
    def _check_place(self, there: Publication) -> None:
        """Raise `Refused` if it cannot take the place of *there*, which has that name on that hub."""

    @abstractmethod
    def _answer(self, stream: Stream, request: Open) -> StreamHandler | None:
        """Begin to answer a request; None if there is nothing that could."""

    @abstractmethod
    async def _retire(self, within: float | None = None) -> None:
        """It is published no more: let requests in flight end *within* seconds (None: as long as usual)."""

    @abstractmethod
    def _is_live_now(self, formers: Iterable[Publication]) -> None:
        """The hub has it, and *formers*, in whose place it is, have ended. On the provider's loop."""

    @abstractmethod
    def _abandon(self) -> None:
        """The provider's loop does not run any more."""

    async def _register_again(self) -> None:
        """Tell its hub what it is now, while there is a link to it. Raises as `Presence.register`."""
        if self.session is not None and self.session.status == "linked":
            self.url = await self.session.register(self.descriptor())

    # --- what its author asks of it -----------------------------------------------------------------------------

    @property
    def expires(self) -> float | None:
        """Until when visitors are let in, in seconds since 1970; None for as long as it is published."""
        return self.conditions.get("expires")

    def key(self, expires: str | float | None = None, *, label: str = "") -> str:
        """Make a key that opens this, and nothing else, until it expires or is revoked.

        *expires* is seconds or text such as ``30m``, ``1h``, ``7d``; without it a key lasts an hour, or as long as the
        hub allows if that is less. Raises `Refused` when the hub does not allow it.
        """
        if self.session is None or self.status in ("stopped", "failed"):
            raise LinkClosed(f"{self.name!r} is {self.status}: {self._VERBS[0]} it again to make a key for it")
        return api.make_key(self.session.address, [self.name], expires, label)

    def stop(self) -> None:
        """Take it back: visitors get 404 from now on; requests in flight may end."""
        # Not waited for: by an app that stops itself, and in a page whose browser cannot switch stacks.
        self.provider.work.do(self.provider.stop(self))

    def __eq__(self, other: object) -> bool:
        """Whether it is the same publication, awaited or not."""
        return isinstance(other, Publication) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def _what_it_is(self) -> str:
        where = f" at {self.url}" if self.url else ""
        why = f" ({self.error})" if self.error else ""
        return f"{self.status}{where}{why}"


def without_waiting(kind: type[P], publication: Publication) -> P:
    """*publication*, all of whose state is shared, as one of *kind*, which cannot be awaited.

    JavaScript awaits what it is given by a coroutine for as long as that can be awaited.
    """
    plain = kind.__new__(kind)
    plain.__dict__ = publication.__dict__
    return plain
