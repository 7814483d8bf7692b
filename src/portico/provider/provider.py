"""The owner of services and sessions: publishes each service on its hub, and calls the right app for each stream.

There is one in a process (`current`). Its coroutines run on its own loop; `run` and its `work` bring a caller there.
Services and shares are published alike; what only one of them does is in `service` and `sharing`.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from portico.asgi.instance import RETIRE_AFTER
from portico.calls.loops import contain
from portico.errors import LinkClosed, PorticoError, Refused
from portico.link import Stream, StreamHandler
from portico.protocol import Limits, ResetCode, control
from portico.protocol.events import Open
from portico.provider.board import Board
from portico.provider.control import ProviderControl
from portico.provider.dial import Dial, dial_websocket
from portico.provider.discovery import HubAddress
from portico.provider.news import News
from portico.provider.notebook_exit import keep_shell
from portico.provider.options import last_terms
from portico.provider.output import keep_output
from portico.provider.presence import Presence
from portico.provider.publication import Publication
from portico.provider.service import Service
from portico.provider.sessions import Sessions
from portico.provider.sharing import Share
from portico.provider.surroundings import tab
from portico.provider.thread import HAS_THREADS, IN_TAB, LoopThread
from portico.provider.work import Work
from portico.types import ASGIApp

logger = logging.getLogger(__name__)

_PUBLISH_WITHIN = 10.0  # seconds to wait for a hub: longer than one takes to restart its link, shorter than patience
_LEAVE_WITHIN = 3.0  # seconds that apps have to shut down when the process ends: Jupyter kills a kernel after 5

_LOOK = 0.25  # seconds between two looks at a session that is about to end

T = TypeVar("T")
P = TypeVar("P", bound=Publication)


class Provider:
    """Holds apps, and keeps them published."""

    def __init__(
        self, *, dial: Dial = dial_websocket, limits: Limits | None = None, thread: LoopThread | None = None
    ) -> None:
        """*thread* is where its loop lives, a daemon thread of its own by default."""
        if IN_TAB:
            tab().install()
        self.thread = thread or LoopThread()
        self.thread.on_death = self._thread_died
        self.work = Work(self.thread)
        self.news = News()
        self.last_terms = last_terms()
        self._board = Board()
        self._control = ProviderControl(self._board, self.stop)
        self._sessions = Sessions(self, self._board, self.work.spawn, dial, limits)

    @property
    def services(self) -> dict[str, Service]:
        """By name."""
        return self._board.services

    @property
    def sessions(self) -> dict[tuple[str, str], Presence]:
        """By hub and workspace, as they were asked for."""
        return self._sessions.known

    def published(self) -> list[Publication]:
        """All that is in its place: services, and shares of them."""
        return list(self._board)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the provider's loop and wait for it, from any other thread."""
        return self.thread.run(coroutine)

    def subscribe(self, listener: Callable[[Service], object]) -> Callable[[], None]:
        """Tell *listener*, on the provider's loop, of each service that looks different now; returns what ends that."""
        return self.news.subscribe(listener)

    # --- publishing ---------------------------------------------------------------------------------------------

    async def publish(self, service: Service, app: ASGIApp, address: HubAddress) -> Service:
        """Start *app* and make *service* live on the hub at *address*.

        Raises `StartupFailed`, `Refused`, `NameTaken` or `LinkClosed`; then nothing is left behind, and a service of
        that name that was live before is live as before.
        """
        keep_output()
        keep_shell()
        if HAS_THREADS:
            from portico.calls.owner_in_threads import carry

            carry()
        loop = asyncio.get_running_loop()
        if loop is not self.thread.loop:  # a test's, or a program's that calls this by itself
            contain(loop)
        service.address = address
        return await self._publish(service, service._start(app))

    async def share(self, share: P) -> P:
        """Publish a live service on a further hub, in the same way. Raises `Refused`, `NameTaken` or `LinkClosed`."""
        return await self._publish(share)

    async def _publish(self, publication: P, beginning: Coroutine[Any, Any, Any] | None = None) -> P:
        """*beginning* is what comes before the hub is asked for its name."""
        try:
            if beginning is not None:
                await beginning
            formers = await self._put_up(publication)
        except BaseException as error:
            why = error if isinstance(error, PorticoError) else LinkClosed(f"{publication._VERBS[1]} it was given up")
            publication.failure = why
            self.news.set_status(publication, "failed", str(why))
            raise
        await self._succeed(publication, formers)
        return publication

    async def _put_up(self, publication: Publication) -> list[Publication]:
        """Bring it to its hub; returns those in whose place it is now."""
        session = self._sessions.to(publication.address)
        if (there := self._board.at(session, publication.name)) is not None:
            try:
                publication._check_place(there)
            except Refused:
                await publication._retire(0)
                raise
        publication.session = session
        # In its place before the hub knows of it: the first request may come in one message with the hub's yes.
        self._board.put(publication)
        try:
            publication.url = await self._register(publication, session)
        except BaseException as error:
            await self._take_back(publication, session, isinstance(error, Refused))
            raise
        return self._board.settle(publication)

    async def _succeed(self, publication: Publication, formers: list[Publication]) -> None:
        """It is live, and *formers* have ended."""
        self.news.set_status(publication, "live")
        for former in formers:
            self.news.set_status(former, "stopped", f"it was {publication._VERBS[2]} again")
        publication._is_live_now(formers)
        try:
            for former in formers:
                if former.session is not publication.session and former.session is not None:  # it has moved
                    await self._unregister(former.session, former.name)
        finally:  # a cell that is interrupted meanwhile leaves it live all the same
            for former in formers:
                self.work.spawn(self._wind_up(former))

    async def _register(self, publication: Publication, session: Presence) -> str:
        """Register, over as many links as that takes within `_PUBLISH_WITHIN`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PUBLISH_WITHIN
        while True:
            await session.linked(max(0.0, deadline - loop.time()))
            try:
                url = await session.register(publication.descriptor())
            except LinkClosed:
                if loop.time() >= deadline:
                    raise
            else:
                if not self._board.holds(publication):
                    raise LinkClosed(f"{publication.name!r} was stopped before it was live")
                return url

    async def _take_back(self, publication: Publication, session: Presence, refused: bool) -> None:
        """Publishing failed: put back what was in its place."""
        former = self._board.remove(publication)
        there = self._board.at(session, publication.name)
        if there is None:
            self.work.spawn(self._unregister(session, publication.name))
        elif there == former and (former.status == "reconnecting" or not refused):
            self.work.spawn(self._restore(former, session))  # the hub may know the name as it was to be
        self._sessions.close_if_unused(session)
        await publication._retire(0)

    async def _restore(self, publication: Publication, session: Presence) -> None:
        try:
            await publication._register_again()
        except LinkClosed as error:
            logger.debug("registering %s again: %s", publication.name, error)  # the next link does it
        except Refused as error:
            self.lost(session, publication.name, error)
        else:
            if publication.status == "reconnecting" and session.status == "linked":
                self.news.set_status(publication, "live")

    async def _unregister(self, session: Presence, name: str) -> None:
        try:
            await session.unregister(name)
        except PorticoError as error:
            logger.debug("unregistering %s: %s", name, error)

    async def republish(self, publication: Publication) -> None:
        """Tell the hubs of changed options, or of changed models: its own, and those that it is shared by."""
        if not isinstance(publication, Share):
            await publication._register_again()
        for share in [publication] if isinstance(publication, Share) else self._shares_of(publication):
            if share.status == "live":
                try:
                    await share._register_again()
                except PorticoError as error:  # its link is lost: the next one does it
                    logger.debug("registering %s again: %s", share.name, error)

    # --- taking back --------------------------------------------------------------------------------------------

    async def stop(self, publication: Publication, why: str = "") -> None:
        """Take it back, and a service's shares with it; requests in flight may end. *why* is for its card.

        Nothing happens to one that was served or shared again since.
        """
        session = publication.session
        if session is None or not self._board.holds(publication):
            return
        # first: until the hub knows, it sends requests, and the app answers them
        await self._unregister(session, publication.name)
        for share in self._shares_of(publication):
            await self.stop(share, why)
        if self._board.holds(publication):
            gone = [publication, *self._board.settle(publication)]
            self._board.remove(publication)
            for one in gone:
                self.news.set_status(one, "stopped", why)
                self.work.spawn(self._wind_up(one))

    def _shares_of(self, publication: Publication) -> list[Share]:
        return [one for one in self._board if isinstance(one, Share) and one.service == publication]

    async def _wind_up(self, publication: Publication) -> None:
        """It is published no more: let its requests end, then close its session, if nobody needs that."""
        await publication._retire()
        session = publication.session
        if session is None:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RETIRE_AFTER
        while not self._sessions.is_used(session) and session.streams and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # the streams are those of many publications, and none tells of its end
        self._sessions.close_if_unused(session)

    async def live(self, publication: P) -> P:
        """Wait until *publication* is live. May be awaited on any loop."""
        loop = self.thread.start()
        waiting = self.news.live(publication)
        if asyncio.get_running_loop() is loop:
            await waiting
        else:
            await asyncio.wrap_future(self.thread.submit(waiting))
        return publication

    async def leave(self, grace: float, *, hold: bool) -> None:
        """Take leave of every hub: no new requests come, and those in flight have *grace* seconds to end.

        With *hold* the hubs hold the names for this provider's next start, for as long as they do for a lost one;
        without it they give them up.
        """
        published = self._board.all()
        if hold:
            for session in self.sessions.values():
                session.say_goodbye()
        else:
            giving_up = [self._unregister(one.session, one.name) for one in published if one.session is not None]
            try:
                async with asyncio.timeout(_LEAVE_WITHIN):
                    await asyncio.gather(*giving_up)
            except TimeoutError:
                logger.debug("a hub did not answer; it hears of the end of the link")
        await asyncio.gather(*(one._retire(grace) for one in published))
        await self.shutdown(ResetCode.CANCEL if hold else ResetCode.NO_ERROR)

    async def shutdown(self, code: ResetCode = ResetCode.NO_ERROR) -> None:
        """Stop every service and close every session: the process ends. For *code* see `HubSession.close`."""
        published, sessions = self._board.all(), list(self.sessions.values())
        self._board.clear()
        for session in sessions:
            session.close(code=code)
        self.sessions.clear()
        for one in published:
            self.news.set_status(one, "stopped", "its process ended")
        await asyncio.gather(*(one._retire(0) for one in published))
        await asyncio.gather(*(session.wait_closed() for session in sessions))

    # --- sessions -----------------------------------------------------------------------------------------------

    async def connect(self, address: HubAddress, timeout: float) -> Presence:
        """Link to a hub, to stay though nothing is published there yet. Raises `Refused` or `LinkClosed`."""
        return await self._sessions.keep(address, timeout)

    def serves(self, session: Presence, name: str) -> bool:
        return any(publication.name == name for publication in self._board.on(session))

    def registered_on(self, session: Presence) -> list[dict[str, Any]]:
        # one that is still starting registers itself, and hears the answer
        return [one.descriptor() for one in self._board.on(session) if one.status == "reconnecting"]

    def session_changed(self, session: Presence) -> None:
        if session.status == "linked":
            self._sessions.close_if_unused(session)
        for publication in self._board.on(session):
            if publication.status not in ("live", "reconnecting"):
                continue
            if session.status == "connecting":
                self.news.set_status(publication, "reconnecting", session.no_room)
            elif session.status == "refused":
                publication.failure = session.last_error
                self.news.set_status(publication, "failed", str(session.last_error))

    def registered(self, session: Presence, name: str, url: str) -> None:
        for publication in self._board.on(session):
            if publication.name == name and publication.status == "reconnecting":
                publication.url = url
                self.news.set_status(publication, "live")

    def lost(self, session: Presence, name: str, error: PorticoError) -> None:
        for publication in self._board.on(session):
            if publication.name != name or publication.status == "starting":  # it hears an answer of its own
                continue
            shares = self._shares_of(publication)  # the app ends, wherever else it was to be had
            self._board.remove(publication)
            self.news.set_status(publication, "stopped", str(error))
            for share in shares:
                self.work.spawn(self.stop(share))
            self.work.spawn(self._wind_up(publication))

    def _thread_died(self, why: str, forked: bool) -> None:
        """The loop is gone, and with it every link and app. What was published can be served again."""
        published = self._board.all()
        self._board.clear()
        self.work.forget()
        self._sessions.abandon(forked)
        for one in published:
            one._abandon()
            if one.status != "stopped":
                one.failure = LinkClosed(f"{why}; serve {one.name!r} again")
                self.news.set_status(one, "failed", str(one.failure))

    # --- streams ------------------------------------------------------------------------------------------------

    def open(self, session: Presence, stream: Stream, request: Open) -> StreamHandler:
        # A hub reaches what is published there, whatever names it says.
        publication = self._board.at(session, request.service)
        handler = publication._answer(stream, request) if publication is not None else None
        if handler is None:
            if request.service == control.SERVICE:
                handler = self._control.answer(session, stream, request)
                if handler is not None:
                    return handler
            stream.reset(ResetCode.REFUSED, f"{request.service!r} is not served here any more")
            return stream.handler
        return handler


_current: Provider | None = None


def current() -> Provider:
    """The process's provider; made at the first call. It takes its leave when the interpreter ends."""
    global _current
    if _current is None:
        _current = Provider()
        atexit.register(_leave, _current, os.getpid())
    return _current


def _leave(provider: Provider, pid: int) -> None:
    """The interpreter ends: the hubs hear of it, so that nobody waits for what will not come back."""
    if provider.thread.loop is None or not HAS_THREADS or os.getpid() != pid:  # a fork has the loop, but not its thread
        return
    try:
        provider.thread.run(provider.shutdown(), _LEAVE_WITHIN)
    except TimeoutError:
        logger.debug("an app's shutdown took longer than the process has")
    provider.thread.stop()
