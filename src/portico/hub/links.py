"""The providers' side of a hub: each link, from its HELLO to its end.

How many there may be is decided in `portico.hub.link_limits`, what becomes of a lost one's names in
`portico.hub.holding`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from portico.errors import LinkClosed, Refused
from portico.hub.config import HubConfig
from portico.hub.fair_use import NoRoom, Refusals
from portico.hub.holding import KERNEL_GONE, PROVIDER_GONE, HeldSessions, KernelLives
from portico.hub.link_limits import AGAIN, LinkLimits, Standing
from portico.hub.registry import Registry
from portico.hub.replicas import ProviderSession
from portico.hub.tenancy import Tenancy
from portico.link import Link, Stream, StreamHandler
from portico.log_text import shown
from portico.networks import network_of
from portico.protocol import Connection, ResetCode, Role
from portico.protocol.events import (
    Ack,
    GoAway,
    Hello,
    LinkEvent,
    Open,
    Register,
    Resumed,
    Stalled,
    Unregister,
    Welcome,
)
from portico.transports.transport import Transport
from portico.version import __version__

logger = logging.getLogger(__name__)


Authenticate = Callable[[Hello], Awaitable[Tenancy]]
"""From HELLO, its token above all, to the sender's tenancy. Raises `Refused`."""


@dataclass(eq=False, slots=True, kw_only=True)
class Linked:
    """One link, as lists show it."""

    id: int
    link: Link
    since: float
    """When it came, in seconds since 1970."""
    standing: Standing
    """How it counts for its address and its owner."""
    address: str = ""
    """Whence it came, where its transport knows."""
    origin: str = ""
    """Of the web page that dialled, as its browser tells it; "" for a program."""
    agent: str = ""
    """What the provider calls itself."""
    session: ProviderSession | None = None
    """None until it has been let in."""
    tenancy: Tenancy | None = None
    authenticate: Authenticate | None = None
    """Who reads its HELLO, if not who reads every other's."""


_STOPPING = "the server is stopping"
_TOO_OFTEN = "too_often"

_SHOWN_ORIGIN = 200  # characters: a host name has 253 at most, and nobody reads those
_EARLY = 0.1  # seconds that a timer may be early, and more
_PARTING = 40.0  # seconds: a provider closes a link that it replaced within 30 s of its GOAWAY


class Links:
    """Accepts links, and keeps the registry true to them."""

    def __init__(
        self,
        config: HubConfig,
        *,
        authenticate: Authenticate,
        kernel_lives: KernelLives,
    ) -> None:
        self._config = config
        self._authenticate = authenticate
        self._sessions: dict[Link, ProviderSession] = {}
        self._tenancies: dict[Link, Tenancy] = {}
        """Of the links that said who they are."""
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: dict[Link, Linked] = {}
        self._numbers = itertools.count(1)
        self.shares = LinkLimits(config)
        self.refusals = Refusals(logger)
        """Links and registrations for which there was no room, by the limit, and providers that were not let in."""
        self.held = HeldSessions(config, kernel_lives, self.refusals, self._spawn)
        self._leaving: set[Link] = set()
        """Links whose provider said that it is done, and will not come back."""
        self.refused = 0
        """How many providers were not let in."""

    def accept(self, transport: Transport, authenticate: Authenticate | None = None) -> Link:
        """Begin a link on *transport*, a WebSocket that a provider opened.

        *authenticate* reads its HELLO, where more is known of who opened it than a HELLO says.
        """
        connection = Connection(Role.HUB, self._config.limits, now=asyncio.get_running_loop().time())
        link = Link(connection, transport, self)
        address = str(getattr(transport, "address", ""))
        standing = Standing(network_of(address) if self._config.by_address else "")
        self._links[link] = Linked(
            id=next(self._numbers),
            link=link,
            since=time.time(),
            address=address,
            origin=str(getattr(transport, "origin", ""))[:_SHOWN_ORIGIN],
            authenticate=authenticate,
            standing=standing,
        )
        if self.shares.new.full:
            self._make_room()
        transport.allow(self._config.limits.max_hello)  # as yet it is a stranger's
        link.start()
        if self._draining:
            link.close(ResetCode.NO_ERROR, _STOPPING, retry_jitter=0.5)
            return link
        try:
            self.shares.come(standing)
        except NoRoom as error:
            self._turn_away(link, error)
        return link

    def _make_room(self) -> None:
        """Close a link that has not said who it is: the oldest of the address that has most of them.

        Who means it says HELLO at once, and is let in long before it is the oldest.
        """
        network = self.shares.new.biggest()
        for known in self._links.values():
            if known.standing.state == "new" and known.standing.network == network:
                self._turn_away(known.link, NoRoom("new_links", "too many links have not said who they are; try again"))
                return

    def _turn_away(self, link: Link, error: NoRoom) -> None:
        known = self._links[link]
        where = f" from {known.standing.network}" if known.standing.network else ""
        self.refusals.add(error.limit, f"a link{where} was turned away: {error}")
        link.close(ResetCode.OVERLOAD, str(error), retry_jitter=AGAIN)

    @property
    def count(self) -> int:
        """How many links there are."""
        return len(self._links)

    def all(self) -> list[Linked]:
        """The links that there are, the oldest first."""
        for link, known in self._links.items():
            known.session, known.tenancy = self._sessions.get(link), self._tenancies.get(link)
        return list(self._links.values())

    @property
    def streams(self) -> int:
        """How many requests are under way on all links."""
        return sum(len(link.streams) for link in self._links)

    def drain(self, retry_jitter: float) -> None:
        """Take no new link or stream; those under way may end. Providers dial anew, *retry_jitter* seconds apart."""
        self._draining = True
        for link in tuple(self._links):
            link.connection.send_goaway(ResetCode.NO_ERROR, _STOPPING, retry_jitter=retry_jitter)
            link.flush_soon()

    def close(self, reason: str = _STOPPING, retry_jitter: float = 0.5) -> None:
        """Close every link; providers that outlive the server come back to it."""
        for link in tuple(self._links):
            link.close(ResetCode.NO_ERROR, reason, retry_jitter=retry_jitter)
        self.held.let_go()
        for task in tuple(self._tasks):
            task.cancel()

    # --- a link's events ----------------------------------------------------------------------------------------

    def on_event(self, link: Link, event: LinkEvent) -> None:
        match event:
            case Hello():
                self._spawn(self._greet(link, event))
            case Register():
                self._acknowledge(link, self._register(link, event))
            case Unregister(request, name):
                session = self._sessions.get(link)
                self.shares.registers(self._links[link].standing, link.time())
                ok = session is not None and self._tenancies[link].registry.unregister(session, name)
                self._acknowledge(link, Ack(request=request, ok=ok, error="" if ok else "no such service"))
            case Stalled() | Resumed():
                if (session := self._sessions.get(link)) is not None:
                    self._tenancies[link].registry.stalled(session, isinstance(event, Stalled))
                if isinstance(event, Stalled) and self._config.drop_silent:
                    patience = max(0.0, self._config.limits.silence_timeout - event.silence)
                    asyncio.get_running_loop().call_later(patience, self._drop_silent, link)
            case GoAway() if event.code == ResetCode.NO_ERROR:
                self._leaving.add(link)

    def _acknowledge(self, link: Link, ack: Ack) -> None:
        link.connection.send_ack(ack)
        if self.shares.insists(self._links[link].standing, link.time()):
            self._turn_away(link, NoRoom("registrations", "registrations come too often on this link"))
        else:
            link.flush_soon()

    def _drop_silent(self, link: Link) -> None:
        """The provider said nothing for too long: its names are held, and it may come back."""
        session = self._sessions.get(link)
        if session is None or not session.stalled or session.link is not link:
            return
        if link.connection.silence(link.time()) + _EARLY >= self._config.limits.silence_timeout:  # it is still the same
            link.close(ResetCode.TIMEOUT, "the provider has been silent for too long")

    async def _greet(self, link: Link, hello: Hello) -> None:
        known = self._links.get(link)
        if known is None:
            return
        try:
            authenticate = known.authenticate
            tenancy = await (authenticate or self._authenticate)(hello)
            if link.closed:
                return
            registry = tenancy.registry
            former = registry.sessions.get(hello.session)
            old_link = former.link if former is not None and former.principal == tenancy.principal else None
            instead = old_link is not None and not old_link.connection.going_away
            self.shares.let_in(known.standing, tenancy.principal.id, instead=instead)
            session = registry.join(hello.session, hello.epoch, tenancy.principal, hello.info, link, hello.features)
        except NoRoom as error:
            self._turn_away(link, error)
            return
        except Refused as error:
            self.refused += 1
            self.refusals.add("hello", f"a provider was not let in: {shown(str(error))}")
            link.close(ResetCode.REFUSED, str(error))
            return
        except Exception:  # of whoever is asked about the token: the stranger must not stay, waiting for an answer
            logger.exception("a provider's token could not be checked")
            link.close(ResetCode.OVERLOAD, "the token could not be checked; try again", retry_jitter=5.0)
            return
        self._sessions[link], self._tenancies[link] = session, tenancy
        known.agent = hello.agent
        logger.info("%s is linked (%.100r)", tenancy.principal.id, hello.agent)
        if old_link is not None:
            self._sessions.pop(old_link, None)
            self._tenancies.pop(old_link, None)
            if instead:  # half-open: the provider knows before we do
                old_link.close(ResetCode.NO_ERROR, "a newer link of this session came")
            else:
                asyncio.get_running_loop().call_later(_PARTING, old_link.close, ResetCode.TIMEOUT, "it was replaced")
        link.transport.allow(self._config.limits.max_batch)
        link.connection.send_welcome(
            Welcome(base_url=tenancy.base_url, agent=f"portico/{__version__}", info=tenancy.info)
        )
        link.flush_soon()

    def _register(self, link: Link, event: Register) -> Ack:
        session = self._sessions.get(link)
        if session is None:
            return Ack(request=event.request, ok=False, error="HELLO comes first", code="refused")
        tenancy = self._tenancies[link]
        wait = self.shares.registers(self._links[link].standing, link.time())
        if wait:
            text = f"Registrations come too often on this link. Try again in {wait:.1f} s."
            self.refusals.add("registrations", f"a registration of {session.principal.id} was refused: {text}")
            return Ack(request=event.request, ok=False, error=text, code=_TOO_OFTEN)
        try:
            service, replaced = tenancy.registry.register(session, event.service)
        except Refused as error:
            if isinstance(error, NoRoom):
                self.refusals.add(error.limit, f"a registration of {session.principal.id} was refused: {error}")
            holder = getattr(error, "holder", {})
            return Ack(request=event.request, ok=False, error=str(error), code=error.code, detail=holder)
        name = service.descriptor.name
        self.tell_stopped(name, replaced)
        return Ack(request=event.request, ok=True, url=tenancy.url_of(name))

    def tell_stopped(self, name: str, sessions: list[ProviderSession]) -> None:
        """Tell providers that *name* was taken from them."""
        for session in sessions:
            session.tell_stopped(name)

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        raise AssertionError("a hub's connection lets no OPEN in")

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        if (known := self._links.pop(link, None)) is not None:
            self.shares.gone(known.standing)
        session, tenancy = self._sessions.pop(link, None), self._tenancies.pop(link, None)
        leaving = link in self._leaving
        self._leaving.discard(link)
        if session is None or tenancy is None or session.link is not link:
            return
        logger.info("the link of %s is gone: %s", session.principal.id, shown(str(reason)))
        if (leaving and not tenancy.holds_goodbyes) or not session.services:
            self.held.give_up(session, tenancy)
            return
        tenancy.registry.unlinked(session, link.time())
        self.held.hold(session, tenancy)

    def end(self, which: Callable[[ProviderSession], bool], reason: str) -> int:
        """Close links for good, by what is known of their sessions, with all that they published; returns how many."""
        found = [(link, session) for link, session in self._sessions.items() if which(session)]
        for link, session in found:
            tenancy = self._tenancies.pop(link)
            del self._sessions[link]
            tenancy.registry.drop(session, PROVIDER_GONE)
            link.close(ResetCode.REFUSED, reason)
        return len(found)

    def end_link(self, link_id: int, reason: str) -> bool:
        """Close the link of that number (`Linked.id`) for good, as `end` does; False if it is gone already."""
        link = next((known.link for known in self._links.values() if known.id == link_id), None)
        if link is None:
            return False
        if not self.end(lambda session: session.link is link, reason):
            link.close()  # nobody knows yet whose it is
        return True

    def kernel_ended(self, registry: Registry, kernel_id: str) -> None:
        """The kernel was shut down, restarted or died: its services go at once."""
        for session in list(registry.sessions.values()):
            if session.principal.kernel_id == kernel_id:
                link = session.link
                registry.drop(session, KERNEL_GONE)
                if link is not None:
                    self._sessions.pop(link, None)
                    self._tenancies.pop(link, None)
                    link.close(ResetCode.NO_ERROR, "the kernel has ended")

    def _spawn(self, coroutine: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the hub failed", exc_info=task.exception())
