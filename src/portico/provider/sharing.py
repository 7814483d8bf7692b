"""A service on a further hub, beside its first one: the link by which it is shared.

The same app answers, whichever hub a request came by. What the hub asks of visitors is its own; what is shared, under
which name and with which conditions is here. Publishing it and keeping it is `portico.provider.provider`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from portico import foreign
from portico.errors import InvalidOption, LinkClosed, PorticoError, Refused
from portico.provider import api
from portico.provider.conditions import AS_BEFORE, AsBefore
from portico.provider.conditions import conditions as conditions_of
from portico.provider.discovery import HubAddress, hub_url
from portico.types import ServiceName, service_name

if TYPE_CHECKING:
    from portico.provider.service import Service
    from portico.provider.session import Session

ACCESS = ("public", "key", "private")
_LONGEST_TIMER = 60.0  # seconds: the loop's clock stands still while a laptop sleeps, the link's does not


@dataclass(frozen=True, slots=True)
class Terms:
    """Who may open a link, as `Share` has it. Holds nothing of the app."""

    access: str
    conditions: Mapping[str, Any] = field(repr=False)
    aside: Mapping[str, Any] = field(repr=False)


@dataclass(eq=False)
class Share:
    """A link to a live service, by a relay.

    ``url`` ends with a slash; ``access`` is who may open it; ``conditions`` are as the hub reads them.
    """

    service: Service
    name: ServiceName
    """In the link; the service's own, if no other was given."""
    address: HubAddress = field(repr=False)
    access: str = "public"
    conditions: Mapping[str, Any] = field(default_factory=dict, repr=False)
    aside: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What held when it was shared before, and does not go with its access: it holds again where it does."""
    replace: bool = False
    """Whether the name is taken over from who has it there."""
    url: str = ""
    status: str = "starting"
    """``starting``, ``live``, ``reconnecting``, ``expired``, ``stopped``, or ``failed``."""
    error: str = ""
    """Why it failed or stopped, in plain words."""
    shared: float = field(default_factory=time.time, repr=False)
    """When it was shared, in seconds since 1970."""
    session: Session | None = field(default=None, repr=False)
    failure: PorticoError | None = field(default=None, repr=False)
    """The exception behind ``failed``."""

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What is shared and where: the service, the relay, the workspace and the name there."""
        return self.service.name, self.address.url, self.address.workspace, self.name

    @property
    def terms(self) -> Terms:
        """What the next link in its place begins with."""
        return Terms(self.access, self.conditions, self.aside)

    @property
    def expires(self) -> float | None:
        """Until when visitors are let in, in seconds since 1970; None for as long as it is shared."""
        return self.conditions.get("expires")

    @property
    def relay(self) -> str:
        """The relay's URL."""
        return self.address.url

    def descriptor(self) -> dict[str, Any]:
        """What the hub is told of it (docs/protocol.md, REGISTER)."""
        told = self.service.descriptor()
        told.update(name=self.name, access=self.access, replace=self.replace, replica=False)
        told["conditions"] = dict(self.conditions)
        return told

    def key(self, expires: str | float | None = None, *, label: str = "") -> str:
        """Make a key that opens this link, and no other, until it expires or is revoked. As `Service.key`."""
        if self.session is None or self.status in ("stopped", "failed"):
            raise LinkClosed(f"{self.name!r} is {self.status}: share it again to make a key for it")
        return api.make_key(self.session.address, [self.name], expires, label)

    def stop(self) -> None:
        """Take the link back: visitors get 404 from now on; the service stays where else it is."""
        provider = self.service.provider
        if provider.thread.can_wait():
            provider.run(provider.unshare(self))
        else:
            provider.soon(provider.unshare(self))

    def watch_expiry(self, then: Callable[[], None]) -> None:
        """Call *then* once the link has expired; on the provider's loop. Nothing, if it does not expire."""
        if self.expires is None or self.status in ("stopped", "failed"):
            return
        left = self.expires - time.time()
        if left <= 0:
            then()
            return
        loop = asyncio.get_running_loop()
        loop.call_later(min(left, _LONGEST_TIMER), self.watch_expiry, then)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same share, awaited or not."""
        return isinstance(other, Share) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def __repr__(self) -> str:
        where = f" at {self.url}" if self.url else ""
        why = f" ({self.error})" if self.error else ""
        return f"<share of {self.service.name!r}: {self.status}{where}{why}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from portico.card import render as card

        return {"text/plain": card.share_text(self), "text/html": card.share_html(self)}


class AwaitableShare(Share):
    """A `Share` that can be awaited, which waits until it is live. What that gives cannot: see `AwaitableService`."""

    def __await__(self) -> Generator[Any, None, Share]:
        yield from self.service.provider.live(self).__await__()
        share = Share.__new__(Share)
        share.__dict__ = self.__dict__
        return share


def make(
    service: Service,
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
    return AwaitableShare(service, service_name(name), address, access, conditions, aside or {}, replace)


def former(service: Service, address: HubAddress, name: str) -> Terms | None:
    """What was asked of visitors when *service* was last shared by that relay under that *name*; it may be so still.

    A link that was taken back counts too, and so does one of a service that was stopped: the next one has the same URL,
    which its visitors know.
    """
    return service.provider.last_terms.get((service.name, address.url, address.workspace, name))


def share(
    service: Service,
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
    among the arguments of `portico.provider.conditions.conditions`. Raises as `Service.share`.
    """
    if isinstance(access, AsBefore):
        access = before.access if before is not None else "public"
    held = conditions_of(before={**before.aside, **before.conditions} if before is not None else {}, **named)
    aside = {}
    if access != "public" and named.get("password", AS_BEFORE) is AS_BEFORE and "password" in held:
        aside["password"] = held.pop("password")  # it goes with public access alone
    made = make(service, address, name=name, access=access, conditions=held, aside=aside, replace=replace)
    provider = service.provider
    if provider.thread.can_wait():
        provider.run(provider.share(made))
    else:
        provider.share_soon(made)
    return made


def check_allowed(sessions: Any, relay: str) -> None:
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
