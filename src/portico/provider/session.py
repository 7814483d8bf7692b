"""One hub: the link to it, kept for as long as the provider wants it; what is registered there is registered again
after each reconnect, under the same session, and so under the same URLs.

A hub that stops may say GOAWAY and keep the link open for the streams that are on it: then a new link is dialled beside
the old one, which is closed once its last stream has ended.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from dataclasses import replace
from typing import Any

from portico.errors import LinkClosed, PorticoError, Refused
from portico.link import Link, Stream, StreamHandler
from portico.protocol import Connection, Limits, ResetCode, Role
from portico.protocol.control import FEATURE
from portico.protocol.events import (
    Ack,
    GoAway,
    Hello,
    LinkEvent,
    Open,
    Resumed,
    Stalled,
    Unregister,
    Welcome,
)
from portico.provider.dial import Dial, dial_websocket
from portico.provider.discovery import HubAddress
from portico.provider.presence import Identity, Presence, SessionOwner
from portico.provider.reconnect import Backoff
from portico.provider.registrations import Registrations
from portico.provider.thread import IN_TAB
from portico.transports.transport import Transport
from portico.version import __version__

logger = logging.getLogger(__name__)

_chance = random.Random()
"""Not the module's own generator: a notebook that has seeded it must draw the same numbers beside us."""

_LONGEST_JITTER = 300.0  # seconds that a hub may ask for: it can say weeks
_PARTING = 30.0  # seconds that the streams of a link have after the hub's GOAWAY, as many as a hub gives them
_BACK = "the provider stops, and may be back"
_PARTING_POLL = 0.05  # seconds between looks at them: a look is cheap, and a link parts once in its life

_LIMITS = Limits(max_data=32 * 1024) if IN_TAB else Limits()
"""In a tab small pieces: what crosses between JavaScript and Python at once holds up the whole page."""


class HubSession(Presence):
    """A session with a hub that is dialled."""

    def __init__(
        self,
        owner: SessionOwner,
        address: HubAddress,
        info: dict[str, Any],
        *,
        dial: Dial = dial_websocket,
        limits: Limits | None = None,
        identity: Identity | None = None,
    ) -> None:
        """*identity* is that of a session that this one continues: the hub takes it for the same."""
        super().__init__(owner, address)
        self._info = info
        self._dial = dial
        self._limits = limits or _LIMITS
        before = identity or Identity(secrets.token_hex(16), 0, frozenset())
        self._id, self._epoch = before.id, before.epoch
        self._link: Link | None = None
        """The newest link: the only one on which anything is registered."""
        self._parting: dict[Link, asyncio.Task[None]] = {}
        """Links that the hub is taking leave of, until their streams have ended."""
        self._lost = asyncio.Event()
        self._retry_jitter = 0.0
        self._registrations = Registrations(self, owner, before.held)
        self._was_linked = False
        self._has_said = False
        self._backoff = Backoff()
        self._turned_away = False
        """Whether the newest link was refused for want of room."""
        self._silences: dict[Link, asyncio.TimerHandle] = {}
        self._ending: list[Transport] = []
        """Connections that `close` has said goodbye on."""

    # --- the life of a link -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a link until `close`, or until the hub refuses for good."""
        while self.status == "connecting":
            self._lost.clear()
            try:
                await self._link_once()
            except Refused as error:
                # Where a link once was, a hub is: a proxy before it (JupyterHub's) says 404 while it restarts.
                if self._was_linked:
                    self.last_error = error
                else:
                    self._give_up(error)
            except LinkClosed as error:
                self.last_error, self._turned_away = error, False
                self._say_once(error)
            except Exception as error:  # a way of failing that the transport does not know: the hub may come back
                logger.exception("dialling %s failed", self.address.url)
                self.last_error = LinkClosed(f"{self.address.url} cannot be dialled: {error!r}")
            if self.status == "connecting":
                delay = self._backoff.next_delay(_chance.random(), self._retry_jitter)
                self._retry_jitter = 0.0
                self._lost.clear()
                try:
                    async with asyncio.timeout(delay):
                        await self._lost.wait()  # `close` ends it early
                except TimeoutError:
                    pass

    def _say_once(self, error: LinkClosed) -> None:
        """Who waits for a first link is told at once what it waits for."""
        if not self._was_linked and not self._has_said and self.status == "connecting":
            self._has_said = True
            logger.warning("%s. It is tried again.", error)

    async def _link_once(self) -> None:
        """Dial, and stay until the link is lost."""
        transport = await self._dial(self.address, self._limits)
        if self.status == "closed":  # meanwhile
            transport.close(1000, "the provider is done")
            return
        self._meet(transport)
        await self._lost.wait()

    def _meet(self, transport: Transport) -> None:
        self._epoch += 1
        connection = Connection(Role.PROVIDER, self._limits, now=asyncio.get_running_loop().time())
        connection.send_hello(
            Hello(
                token=self.address.token,
                session=self._id,
                epoch=self._epoch,
                agent=f"portico/{__version__}",
                info={**self._info, "workspace": self.address.workspace},
                features=(FEATURE,),
            )
        )
        transport.allow(self._limits.max_batch)
        self._link = Link(connection, transport, self)
        self._link.start()

    def _give_up(self, error: PorticoError) -> None:
        self.last_error = error
        self._set_status("refused")

    @property
    def no_room(self) -> str:
        return str(self.last_error) if self._turned_away else ""

    @property
    def holds(self) -> bool:
        return bool(self._registrations.held)

    def close(self, reason: str = "the provider is done", code: ResetCode = ResetCode.NO_ERROR) -> None:
        """Close the link for good.

        The hub forgets what was registered, if it does not hold it for this provider's next start (a relay does). With
        another *code* it holds it in any case, as if the link had been lost.
        """
        if self.status != "closed":
            super().close(reason, code)
            links = [link for link in (*self._parting, self._link) if link is not None]
            for link in links:
                link.close(code, reason)
            self._ending = [link.transport for link in links]
            self._lost.set()

    async def wait_closed(self) -> None:
        """Wait until the connections have ended that `close` has told goodbye: a loop that ends sooner leaves them."""
        ending, self._ending = self._ending, []
        waits = [wait() for transport in ending if (wait := getattr(transport, "wait_closed", None)) is not None]
        await asyncio.gather(*waits)  # a provider's own transport has it

    @property
    def identity(self) -> Identity:
        return Identity(self._id, self._epoch, frozenset(self._registrations.held))

    def abandon(self, forked: bool) -> None:
        """The loop does not run any more: cut the links, so that the hub and its visitors hear of it at once.

        Not if this process has *forked* from the one whose links they are.
        """
        super().abandon(forked)
        for link in (*self._parting, self._link):
            cut = (
                getattr(link.transport, "cut", None) if link is not None else None
            )  # a provider's own transport has it
            if cut is not None and not forked:
                cut()
        self._parting.clear()
        self._link = None

    @property
    def streams(self) -> int:
        links = {*self._parting, *([self._link] if self._link is not None else [])}
        return sum(len(link.streams) for link in links)

    def say_goodbye(self) -> None:
        if self.status == "linked" and self._link is not None:
            self._link.connection.send_goaway(ResetCode.CANCEL, _BACK)
            self._link.flush_soon()

    # --- registrations ------------------------------------------------------------------------------------------

    def check(self, descriptor: dict[str, Any]) -> None:
        if self.status == "linked" and self._link is not None:
            self._registrations.check(self._link, descriptor)

    async def register(self, descriptor: dict[str, Any]) -> str:
        return await self._registrations.register(self._usable(), descriptor)

    async def unregister(self, name: str) -> None:
        """Take a service back. While the link is lost the hub holds the name: the next link gives it up."""
        if self.status == "linked" and name in self._registrations.held:
            await self._registrations.unregister(self._usable(), name)

    def _usable(self) -> Link:
        if self._link is None or self._link.closed or self._link in self._parting:
            raise LinkClosed("the link to the hub is lost; it is being dialled again")
        return self._link

    # --- the link's events --------------------------------------------------------------------------------------

    def on_event(self, link: Link, event: LinkEvent) -> None:
        match event:
            case Welcome():
                self._welcomed(link, event)
            case Ack():
                self._registrations.answered(event)
            case Unregister(_, name):
                self._registrations.held.discard(name)
                self._owner.lost(self, name, Refused(f"{name[:100]!r} was stopped at the hub", "stopped"))
            case GoAway():
                if link is not self._link:
                    return  # it is parted from already
                self._retry_jitter = min(event.retry_jitter, _LONGEST_JITTER)
                if event.code == ResetCode.REFUSED:
                    self._give_up(Refused(event.reason))
                elif event.code == ResetCode.OVERLOAD and self.status != "linked":
                    self._found_no_room(link, event.reason)
                elif self.status == "linked":
                    self._part(link, event.reason)
            case Stalled(silence):
                self._silences[link] = asyncio.get_running_loop().call_later(
                    max(0.0, self._limits.silence_timeout - silence), self._still_silent, link
                )
            case Resumed():
                self._forget_silence(link)

    def _welcomed(self, link: Link, welcome: Welcome) -> None:
        self.base_url, self.hub_info = welcome.base_url, welcome.info
        workspace, token = welcome.info.get("workspace"), welcome.info.get("token")
        if isinstance(workspace, str) and workspace:  # a relay; the next link must come to the same place
            self.address = replace(
                self.address,
                workspace=workspace,
                token=token if isinstance(token, str) and token else self.address.token,
            )
        self.last_error, self._turned_away = None, False
        self._was_linked = True
        self._backoff.reset()
        self._set_status("linked")
        if not link.closed:  # by the owner, who has nothing to publish any more
            self._registrations.repeat(link)

    def _part(self, link: Link, reason: str) -> None:
        """The hub takes no more streams on *link*, and lets those end that are on it: dial anew, beside it."""
        self.last_error = LinkClosed("the hub is taking leave", reason)
        self._parting[link] = asyncio.get_running_loop().create_task(self._see_off(link))
        self._lose(self.last_error)

    def _found_no_room(self, link: Link, reason: str) -> None:
        """The hub turned this provider away for now. It is asked again, more and more seldom."""
        error = LinkClosed("the hub has no room for this program", reason)
        self.last_error, self._turned_away = error, True
        self._backoff.no_room()
        self._say_once(error)
        link.close(ResetCode.TIMEOUT, "the hub has no room")
        if self.status == "connecting":
            self._owner.session_changed(self)  # so that cards say why

    async def _see_off(self, link: Link) -> None:
        """Close *link* once its streams have ended and another has come in its place, or after `_PARTING` seconds.

        Not before there is another: a hub may take that for a goodbye, and give the names away.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PARTING
        while not link.closed and loop.time() < deadline:
            if self.status == "linked" and not link.streams and not link.connection.streams:
                break
            await asyncio.sleep(_PARTING_POLL)
        link.close(ResetCode.NO_ERROR if self.status == "linked" else ResetCode.TIMEOUT, "its streams have ended")

    def _still_silent(self, link: Link) -> None:
        link.close(ResetCode.TIMEOUT, "the hub has been silent for too long")

    def _forget_silence(self, link: Link) -> None:
        silence = self._silences.pop(link, None)
        if silence is not None:
            silence.cancel()

    def on_open(self, stream: Stream, request: Open) -> StreamHandler:
        return self._owner.open(self, stream, request)

    def on_closed(self, link: Link, reason: LinkClosed) -> None:
        self._forget_silence(link)
        parting = self._parting.pop(link, None)
        if parting is not None:
            if parting is not asyncio.current_task():
                parting.cancel()
        elif link is self._link:
            self._lose(reason)

    def _lose(self, reason: LinkClosed) -> None:
        """The newest link serves no more: what waits for its answers waits no longer, and another is dialled."""
        if self.last_error is None:
            self.last_error = reason
        self._registrations.link_lost(reason)
        if self.status == "linked":
            self._set_status("connecting")
        self._lost.set()
