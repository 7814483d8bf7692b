"""A service on a further hub, beside its first one: the link by which it is shared.

The same app answers, whichever hub a request came by. What the hub asks of visitors is its own; what is shared, under
which name and with which conditions is here. Publishing it and keeping it is `portico.provider.provider`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from portico import foreign
from portico.card import render
from portico.card.state import ShareState
from portico.errors import InvalidOption, LinkClosed, Refused
from portico.link import Stream, StreamHandler
from portico.protocol.events import Open
from portico.provider.discovery import HubAddress, hub_url
from portico.provider.options import AS_BEFORE, AsBefore, SharePlace, Terms, conditions
from portico.provider.presence import Presence
from portico.provider.publication import Publication, without_waiting
from portico.types import service_name

ACCESS = ("public", "key", "private")
_LONGEST_TIMER = 60.0  # seconds: the loop's clock stands still while a laptop sleeps, the link's does not


@dataclass(eq=False, repr=False)
class Share(Publication):
    """A link to a live service, by a relay.

    ``url`` ends with a slash; ``name`` is the one in the link, the service's own if no other was given; ``access`` is
    who may open it; ``conditions`` are as the hub reads them.
    """

    _VERBS = ("share", "sharing", "shared")

    service: Publication
    aside: Mapping[str, Any] = field(default_factory=dict)
    """What held when it was shared before, and does not go with its access: it holds again where it does."""
    replace: bool = False
    """Whether the name is taken over from who has it there."""
    shared: float = field(default_factory=time.time)
    """When it was shared, in seconds since 1970."""

    def __post_init__(self) -> None:
        self.log = self.service.log

    def _follow(self, service: Publication) -> None:
        """*service* has taken its service's place: it is a link to that now."""
        self.service, self.log = service, service.log

    @property
    def place(self) -> SharePlace:
        """What is shared and where: the service, the relay, the workspace and the name there."""
        return self.service.name, self.address.url, self.address.workspace, self.name

    @property
    def terms(self) -> Terms:
        """What the next link in its place begins with."""
        return Terms(self.access, self.conditions, self.aside)

    @property
    def relay(self) -> str:
        """The relay's URL."""
        return self.address.url

    def descriptor(self) -> dict[str, Any]:
        told = self.service.descriptor()
        told.update(name=self.name, access=self.access, replace=self.replace, replica=False)
        told["conditions"] = dict(self.conditions)
        return told

    @property
    def _home(self) -> Publication:
        return self.service._home

    def _check_place(self, there: Publication) -> None:
        if not isinstance(there, Share):
            raise Refused(f"{self.name!r} is served there already; give the link another name", "shared")
        if there.service != self.service:
            raise Refused(f"{there.service.name!r} is shared there as {self.name!r} already", "shared")

    def _answer(self, stream: Stream, request: Open) -> StreamHandler | None:
        return self.service._answer(stream, request)

    def _is_live_now(self, formers: Iterable[Publication]) -> None:
        self.provider.last_terms.keep(self.place, self.terms)
        self._watch_expiry()

    async def _retire(self, within: float | None = None) -> None:
        """Nothing: its requests are the service's."""

    def _abandon(self) -> None:
        """Nothing: it has no more than the service has."""

    def _watch_expiry(self) -> None:
        """See to it that it is told when the link has expired."""
        if self.expires is None or self.status not in ("live", "reconnecting"):
            return
        left = self.expires - time.time()
        if left <= 0:
            # It stays registered: its visitors are told that it has expired, and not that there is nothing.
            self.provider.news.set_status(self, "expired")
        else:
            asyncio.get_running_loop().call_later(min(left, _LONGEST_TIMER), self._watch_expiry)

    def __repr__(self) -> str:
        return f"<share of {self.service.name!r}: {self._what_it_is()}>"

    def card_state(self) -> ShareState:
        """All that a person is shown of it, as it is now: a frozen record."""
        held = self.conditions
        return ShareState(
            name=self.name,
            relay=self.relay,
            url=self.url,
            status=self.status,
            error=self.error,
            access=self.access,
            shared=self.shared,
            expires=self.expires,
            has_password=held.get("password") is not None,
            networks=tuple(map(str, held.get("cidr") or ())),
            rate=str(held.get("rate") or ""),
            concurrency=held.get("concurrency"),
            max_body=held.get("max_body"),
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        state = self.card_state()
        return {"text/plain": render.share_text(state), "text/html": render.share_html(state)}


class AwaitableShare(Share):
    """A `Share` that can be awaited, which waits until it is live. What that gives cannot: see `AwaitableService`."""

    def __await__(self) -> Generator[Any, None, Share]:
        yield from self.provider.live(self).__await__()
        return without_waiting(Share, self)


def make(
    service: Publication,
    address: HubAddress,
    *,
    name: str,
    access: str = "public",
    conditions: Mapping[str, Any],
    aside: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> AwaitableShare:
    """A share that is still to be published. Raises `InvalidOption`, `InvalidName`, `LinkClosed` or `Refused`."""
    if access not in ACCESS:
        raise InvalidOption(f"access is one of {', '.join(ACCESS)}; {access!r} is none of them")
    if service.status in ("stopped", "failed"):
        raise LinkClosed(f"{service.name!r} is {service.status}: serve it again to share it")
    check_allowed(service.provider.sessions.values(), address.url)
    return AwaitableShare(
        service_name(name),
        service,
        aside or {},
        replace,
        provider=service.provider,
        access=access,
        conditions=conditions,
        address=address,
    )


def former(service: Publication, address: HubAddress, name: str) -> Terms | None:
    """What was asked of visitors when *service* was last shared by that relay under that *name*; it may be so still.

    A link that was taken back counts too, and so does one of a service that was stopped: the next one has the same URL,
    which its visitors know.
    """
    return service.provider.last_terms.get((service.name, address.url, address.workspace, name))


def share(
    service: Publication,
    address: HubAddress,
    name: str,
    access: str | AsBefore = AS_BEFORE,
    *,
    replace: bool = False,
    before: Terms | None = None,
    **named: Any,
) -> AwaitableShare:
    """Share *service* by the relay at *address*, and wait until it is live where that can be waited for.

    What restricted the link *before* (access but for ``public``, and every condition) holds still, unless it is *named*
    among the arguments of `portico.provider.options.conditions`. Raises as `Service.share`.
    """
    if isinstance(access, AsBefore):
        access = before.access if before is not None else "public"
    held = conditions(before={**before.aside, **before.conditions} if before is not None else {}, **named)
    aside = {}
    if access != "public" and named.get("password", AS_BEFORE) is AS_BEFORE and "password" in held:
        aside["password"] = held.pop("password")  # it goes with public access alone
    made = make(service, address, name=name, access=access, conditions=held, aside=aside, replace=replace)
    service.provider.work.do(service.provider.share(made), service.log)
    return made


def check_allowed(sessions: Iterable[Presence], relay: str) -> None:
    """Keep to what the administrators of the Jupyter servers that this process is linked to allow. Or `Refused`."""
    for session in sessions:
        allowed = session.hub_info.get("allowed_relays")
        if isinstance(allowed, list) and not any(_is_allowed(str(pattern), relay) for pattern in allowed):
            named = foreign.text(", ".join(map(str, allowed)) or "none")
            raise Refused(
                f"The administrator of the Jupyter server at {session.address.url} does not allow sharing by {relay}, "
                f"only by: {named}.",
                "allowed_relays",
            )


def _is_allowed(pattern: str, relay: str) -> bool:
    """Whether *pattern* means *relay*: ``*``, its URL, or a URL whose host has a ``*`` (``https://*.example.org``)."""
    if pattern == "*":
        return True
    try:
        wanted, given = urlsplit(hub_url(pattern)), urlsplit(relay)
        if (wanted.scheme, wanted.port, wanted.path) != (given.scheme, given.port, given.path):
            return False
    except (InvalidOption, ValueError):
        return False
    return fnmatchcase(given.hostname or "", wanted.hostname or "")
