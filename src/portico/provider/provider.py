"""The owner of services and sessions: publishes each service on its hub, and calls the right app for each stream.

There is one in a process (`current`). Its coroutines run on its own loop; `run` brings a caller there.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import platform
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from portico.asgi.instance import RETIRE_AFTER, Instance
from portico.calls.loops import contain
from portico.errors import LinkClosed, PorticoError, Refused
from portico.link import Stream, StreamHandler
from portico.protocol import Limits, ResetCode
from portico.protocol.events import Open
from portico.provider.discovery import PREVIEW, HubAddress
from portico.provider.leaving import keep_shell
from portico.provider.output import keep_output
from portico.provider.service import Service
from portico.provider.session import Dial, Identity, Session, dial_websocket
from portico.provider.sharing import Share, Terms
from portico.provider.thread import HAS_THREADS, IN_TAB, LoopThread
from portico.types import ASGIApp

logger = logging.getLogger(__name__)

_PUBLISH_WITHIN = 10.0  # seconds to wait for a hub: longer than one takes to restart its link, shorter than patience
_LEAVE_WITHIN = 3.0  # seconds that apps have to shut down when the process ends: Jupyter kills a kernel after 5

_REMEMBERED = 1000  # links: more than a notebook ever makes, and a script that makes them on and on does not grow

_LOOK = 0.25  # seconds between two looks at a session that is about to end

T = TypeVar("T")
Published = TypeVar("Published", Service, Share)


class Provider:
    """Holds apps, and keeps them published."""

    def __init__(
        self, *, dial: Dial = dial_websocket, limits: Limits | None = None, thread: LoopThread | None = None
    ) -> None:
        """*thread* is where its loop lives, a daemon thread of its own by default."""
        if IN_TAB:
            from portico.tab import shim

            shim.install()
        self.thread = thread or LoopThread()
        self.thread.on_death = self._thread_died
        self.services: dict[str, Service] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        """By hub and workspace, as they were asked for."""
        self.listener: Callable[[Service], None] | None = None
        """Told when a service's status changes, on the provider's loop."""
        self._dial = dial
        self._limits = limits
        self._tasks: set[asyncio.Task[Any]] = set()
        self.shares: dict[tuple[Session, str], Share] = {}
        self.last_terms: dict[tuple[str, str, str, str], Terms] = {}
        """Of the links that there were, by `Share.place`: the newest `_REMEMBERED` of them."""
        """What is published beside its home, by hub and name."""
        self._identities: dict[tuple[str, str], Identity] = {}
        """Of sessions whose thread has died: a hub that knows them gives what was served there back."""
        self._former: dict[str, Service] = {}
        """The services in whose place one of the same name is being published."""
        self._news = asyncio.Event()
        """Set, and replaced, when a service's status changes."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the provider's loop and wait for it, from any other thread."""
        return self.thread.run(coroutine)

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run *coroutine* beside everything else; an error of it is logged, not lost."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_done)

    def _spawned_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the provider failed", exc_info=task.exception())

    # --- publishing ---------------------------------------------------------------------------------------------

    async def publish(self, service: Service, app: ASGIApp, address: HubAddress) -> Service:
        """Start *app* and make *service* live on the hub at *address*.

        Raises `StartupFailed`, `Refused`, `NameTaken` or `LinkClosed`; then nothing is left behind, and a service of
        that name that was live before is live as before.
        """
        keep_output()
        keep_shell()
        if HAS_THREADS:
            from portico.calls.threads import carry

            carry()
        loop = asyncio.get_running_loop()
        if loop is not self.thread.loop:  # a test's, or a program's that calls this by itself
            contain(loop)
        try:
            await self._publish(service, app, address)
        except BaseException as error:
            service.failure = error if isinstance(error, PorticoError) else LinkClosed("serving it was given up")
            self._set_status(service, "failed", str(service.failure))
            raise
        return service

    async def _publish(self, service: Service, app: ASGIApp, address: HubAddress) -> None:
        instance = service._instance_of(app)
        await instance.start()
        name = service.name
        session = self._session(address)
        if (session, name) in self.shares:
            await instance.retire(0)
            raise Refused(f"{name!r} is shared there already, from this process; unshare it first", "shared")
        service.session, service.instance = session, instance
        # In its place before the hub knows of it: the first request may come in one message with the hub's yes.
        if (before := self.services.get(name)) is not None:
            self._former[name] = before
        self.services[name] = service
        try:
            service.url = await self._register(session, service)
        except BaseException as error:
            await self._take_back(service, session, isinstance(error, Refused))
            raise
        self._former.pop(name, None)
        self._set_status(service, "live")
        if before is not None and before.status != "stopped":
            self._set_status(before, "stopped", "it was served again")
            if before.session is not session and before.session is not None:  # it moved to another hub
                await self._unregister(before.session, name)
            for share in before.shares:  # whoever has a link to it has one to what took its place
                share.service = service
                self._spawn(self._tell(share))
            if before.instance is not None:
                self._spawn(self._retire(before.instance, before.session))

    async def _register(self, session: Session, service: Service | Share) -> str:
        """Register, over as many links as that takes within `_PUBLISH_WITHIN`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PUBLISH_WITHIN
        while True:
            await session.linked(max(0.0, deadline - loop.time()))
            try:
                url = await session.register(service.descriptor())
            except LinkClosed:
                if loop.time() >= deadline:
                    raise
            else:
                if not self._is_wanted(session, service):
                    raise LinkClosed(f"{service.name!r} was stopped before it was live")
                return url

    def _is_wanted(self, session: Session, service: Service | Share) -> bool:
        if isinstance(service, Share):
            return self.shares.get((session, service.name)) == service
        return self.services.get(service.name) == service

    async def _take_back(self, service: Service, session: Session, refused: bool) -> None:
        """Publishing failed: put back what was in its place."""
        name = service.name
        former = self._former.pop(name, None)
        if self.services.get(name) == service:
            if former is not None:
                self.services[name] = former
            else:
                del self.services[name]
        if former is None:
            self._spawn(self._unregister(session, name))
        elif former.status == "reconnecting" or not refused:  # the hub may know the name as it was to be
            self._spawn(self._restore(former))
        self._close_if_unused(session)
        if service.instance is not None:
            await service.instance.retire(0)

    async def _restore(self, service: Service) -> None:
        try:
            await self.republish(service)
        except LinkClosed as error:
            logger.debug("registering %s again: %s", service.name, error)  # the next link does it
        except Refused as error:
            if service.session is not None:
                self.lost(service.session, service.name, error)
        else:
            if service.status == "reconnecting":
                self._set_status(service, "live")

    async def _unregister(self, session: Session, name: str) -> None:
        try:
            await session.unregister(name)
        except PorticoError as error:
            logger.debug("unregistering %s: %s", name, error)

    def share_soon(self, share: Share) -> None:
        """`share` where nobody may wait for it; await the share to know when it is live."""
        self.soon(self._reporting(share.service, self.share(share)))

    def publish_soon(self, service: Service, app: ASGIApp, address: HubAddress) -> None:
        """Begin publishing where nobody may wait for it; await the service to know when it is live.

        What goes wrong is the service's ``error``, and raised to whoever awaits it.
        """
        self.soon(self._reporting(service, self.publish(service, app, address)))

    def replace_soon(self, service: Service, app: ASGIApp) -> None:
        """`replace` where nobody may wait for it; an app that does not start is in the service's log."""
        self.soon(self._reporting(service, self.replace(service, app)))

    @staticmethod
    async def _reporting(service: Service, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        except PorticoError as error:
            service.log.report("starting the app", error.__cause__ or error)

    def soon(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run *coroutine* on the provider's loop, from any thread, without waiting for it."""
        self.thread.start().call_soon_threadsafe(self._spawn, coroutine)

    async def replace(self, service: Service, app: ASGIApp) -> None:
        """Put *app* in the place of the service's app: no request is lost; those in flight end on the old one.

        Raises `StartupFailed`, and keeps the old app, if the new one does not start.
        """
        instance = service._instance_of(app)
        await instance.start()
        old, service.instance = service.instance, instance
        if old is not None:
            self._spawn(old.retire())

    async def republish(self, service: Service) -> None:
        """Tell the hubs of changed options, or of changed models."""
        if service.session is not None and service.session.status == "linked":
            service.url = await service.session.register(service.descriptor())
        for share in service.shares:
            await self._tell(share)

    async def _tell(self, share: Share) -> None:
        """Tell a further hub what it has now; if its link is lost, the next one does it."""
        if share.session is not None and share.session.status == "linked" and share.status == "live":
            try:
                share.url = await share.session.register(share.descriptor())
            except PorticoError as error:
                logger.debug("registering %s again: %s", share.name, error)

    async def stop(self, service: Service) -> None:
        """Take a service down; requests in flight may end. Nothing happens to one that was served again since."""
        name, session, instance = service.name, service.session, service.instance
        if self.services.get(name) != service:
            return
        if session is not None:
            # first: until the hub knows, it sends requests, and the app answers them
            await self._unregister(session, name)
        shares = service.shares
        for share in shares:
            await self._give_up(share, "stopped")
        if self.services.get(name) == service:
            del self.services[name]
            self._set_status(service, "stopped")
        if instance is not None:
            self._spawn(self._retire(instance, session, *(share.session for share in shares)))

    async def _retire(self, instance: Instance, *sessions: Session | None) -> None:
        await instance.retire()
        for session in sessions:
            if session is not None:
                self._close_if_unused(session)

    # --- sharing ------------------------------------------------------------------------------------------------

    async def share(self, share: Share) -> Share:
        """Publish a live service on a further hub. Raises `Refused`, `NameTaken` or `LinkClosed`."""
        try:
            await self._share(share)
        except BaseException as error:
            share.failure = error if isinstance(error, PorticoError) else LinkClosed("sharing it was given up")
            self._set_status(share, "failed", str(share.failure))
            raise
        return share

    async def _share(self, share: Share) -> None:
        session = self._session(share.address)
        key = (session, share.name)
        former = self.shares.get(key)
        if any(service.session is session and service.name == share.name for service in self.services.values()):
            raise Refused(f"{share.name!r} is served there already; give the link another name", "shared")
        if former is not None and former.service != share.service:
            raise Refused(f"{former.service.name!r} is shared there as {share.name!r} already", "shared")
        share.session = session
        self.shares[key] = share  # before the hub knows of it, as in `_publish`
        try:
            share.url = await self._register(session, share)
        except BaseException:
            if self.shares.get(key) == share:
                del self.shares[key]
                if former is not None:
                    self.shares[key] = former
                    self._spawn(self._tell(former))
                else:
                    self._spawn(self._unregister(session, share.name))
            self._close_if_unused(session)
            raise
        if former is not None:
            self._set_status(former, "stopped", "it was shared again")
        self._remember(share)
        self._set_status(share, "live")
        share.watch_expiry(lambda: self._expired(share))

    def _remember(self, share: Share) -> None:
        self.last_terms.pop(share.place, None)
        self.last_terms[share.place] = share.terms
        if len(self.last_terms) > _REMEMBERED:
            del self.last_terms[next(iter(self.last_terms))]

    def _expired(self, share: Share) -> None:
        # It stays registered: its visitors are told that the link has expired, and not that there is nothing.
        if share.status in ("live", "reconnecting"):
            self._set_status(share, "expired")

    async def unshare(self, share: Share) -> None:
        """Take a shared link back; requests in flight may end."""
        await self._give_up(share, "stopped")
        if share.session is not None:
            self._spawn(self._close_when_idle(share.session))

    async def _give_up(self, share: Share, status: str) -> None:
        session = share.session
        if session is None or self.shares.get((session, share.name)) != share:
            return
        await self._unregister(session, share.name)
        if self.shares.get((session, share.name)) == share:
            del self.shares[session, share.name]
            self._set_status(share, status)

    async def _close_when_idle(self, session: Session) -> None:
        """Close a session that nobody needs, once the requests on it have ended, or have had their time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RETIRE_AFTER
        while session.streams and loop.time() < deadline:  # noqa: ASYNC110 - the streams are those of many links
            await asyncio.sleep(_LOOK)
        self._close_if_unused(session)

    async def live(self, service: Published) -> Published:
        """Wait until *service* is live. May be awaited on any loop."""
        loop = self.thread.start()
        waiting = self._wait_live(service)
        if asyncio.get_running_loop() is loop:
            await waiting
        else:
            await asyncio.wrap_future(self.thread.submit(waiting))
        return service

    async def _wait_live(self, service: Service | Share) -> None:
        while service.status in ("starting", "reconnecting"):
            await self._news.wait()
        if service.status in ("failed", "stopped"):
            raise service.failure or LinkClosed(service.error or "it was stopped")

    async def leave(self, grace: float, *, hold: bool) -> None:
        """Take leave of every hub: no new requests come, and those in flight have *grace* seconds to end.

        With *hold* the hubs hold the names for this provider's next start, for as long as they do for a lost one;
        without it they give them up.
        """
        services = list(self.services.values())
        if hold:
            for session in self.sessions.values():
                session.say_goodbye()
        else:
            giving_up = [
                self._unregister(session, published.name)
                for session in self.sessions.values()
                for published in self._of(session)
            ]
            try:
                async with asyncio.timeout(_LEAVE_WITHIN):
                    await asyncio.gather(*giving_up)
            except TimeoutError:
                logger.debug("a hub did not answer; it hears of the end of the link")
        await asyncio.gather(*(service.instance.retire(grace) for service in services if service.instance is not None))
        await self.shutdown(ResetCode.CANCEL if hold else ResetCode.NO_ERROR)

    async def shutdown(self, code: ResetCode = ResetCode.NO_ERROR) -> None:
        """Stop every service and close every session: the process ends. For *code* see `Session.close`."""
        services, shares = list(self.services.values()), list(self.shares.values())
        self.services.clear()
        self.shares.clear()
        sessions = list(self.sessions.values())
        for session in sessions:
            session.close(code=code)
        self.sessions.clear()
        gone: list[Service | Share] = [*shares, *services]
        for published in gone:
            self._set_status(published, "stopped", "its process ended")
        await asyncio.gather(*(service.instance.retire(0) for service in services if service.instance is not None))
        await asyncio.gather(*(session.wait_closed() for session in sessions))

    # --- sessions -----------------------------------------------------------------------------------------------

    async def connect(self, address: HubAddress, timeout: float) -> Session:
        """Link to a hub, to stay though nothing is published there yet. Raises `Refused` or `LinkClosed`."""
        session = self._session(address)
        session.kept = True
        try:
            await session.linked(timeout)
        except BaseException:
            session.kept = False
            self._close_if_unused(session)
            raise
        return session

    def _session(self, address: HubAddress) -> Session:
        session = self.sessions.get((address.url, address.workspace))
        if session is None or session.status in ("closed", "refused"):
            session = self._make_session(address)
            self.sessions[session.key] = session
            self._spawn(session.run())
        return session

    def _make_session(self, address: HubAddress) -> Session:
        if address.rung == PREVIEW:
            from portico.tab.preview import PreviewSession

            return PreviewSession(self, address)
        identity = self._identities.pop((address.url, address.workspace), None)
        return Session(self, address, _who(address), dial=self._dial, limits=self._limits, identity=identity)

    def _close_if_unused(self, session: Session) -> None:
        if session.kept or self._of(session) or (session.status == "connecting" and session.holds):
            return  # the hub must be told what is not served any more; that ends it (see session_changed)
        if session.status != "closed":
            session.close()
            if self.sessions.get(session.key) is session:
                del self.sessions[session.key]

    def _of(self, session: Session) -> list[Service | Share]:
        """What is published on *session*, or about to be."""
        published: list[Service | Share] = [
            service for at in (self.services, self._former) for service in at.values() if service.session is session
        ]
        return published + [share for share in self.shares.values() if share.session is session]

    def serves(self, session: Session, name: str) -> bool:
        return any(service.name == name for service in self._of(session))

    def registered_on(self, session: Session) -> list[dict[str, Any]]:
        # one that is still starting registers itself, and hears the answer
        return [service.descriptor() for service in self._of(session) if service.status == "reconnecting"]

    def session_changed(self, session: Session) -> None:
        if session.status == "linked":
            self._close_if_unused(session)
        for service in self._of(session):
            if session.status == "connecting" and service.status in ("live", "reconnecting"):
                self._set_status(service, "reconnecting", session.no_room)
            elif session.status == "refused" and service.status in ("live", "reconnecting"):
                service.failure = session.last_error
                self._set_status(service, "failed", str(session.last_error))

    def registered(self, session: Session, name: str, url: str) -> None:
        for service in self._of(session):
            if service.name == name and service.status == "reconnecting":
                service.url = url
                self._set_status(service, "live")

    def lost(self, session: Session, name: str, error: PorticoError) -> None:
        for published in self._of(session):
            if published.name != name or published.status == "starting":  # it hears an answer of its own
                continue
            if isinstance(published, Share):
                self.shares.pop((session, name), None)
                self._set_status(published, "stopped", str(error))
                self._close_if_unused(session)
            else:
                self._lost_home(published, session, error)

    def _lost_home(self, service: Service, session: Session, error: PorticoError) -> None:
        for at in (self.services, self._former):
            if at.get(service.name) == service:
                del at[service.name]
        shares = service.shares
        self._set_status(service, "stopped", str(error))
        for share in shares:  # the app ends, wherever else it was to be had
            self._spawn(self._give_up(share, "stopped"))
        if service.instance is not None:
            self._spawn(self._retire(service.instance, session, *(share.session for share in shares)))

    def _set_status(self, service: Service | Share, status: str, error: str = "") -> None:
        service.status, service.error = status, error
        self._news.set()
        self._news = asyncio.Event()
        self.changed(service.service if isinstance(service, Share) else service)

    def changed(self, service: Service) -> None:
        """Tell who shows *service* that it looks different now. On the provider's loop."""
        if self.listener is not None:
            self.listener(service)

    def _thread_died(self, why: str, forked: bool) -> None:
        """The loop is gone, and with it every link and app. What was published can be served again.

        In a fork the links are the parent's, and stay as they are.
        """
        sessions, self.sessions = list(self.sessions.values()), {}
        if not forked:
            self._identities = {session.key: session.identity for session in sessions if session.status != "refused"}
        published: list[Service | Share] = [*self.shares.values(), *self._former.values(), *self.services.values()]
        self.shares.clear()
        self._former.clear()
        self._tasks.clear()
        for session in sessions:
            session.abandon(forked)
        for one in published:
            if isinstance(one, Service):
                one.instance = None
            if one.status != "stopped":
                one.failure = LinkClosed(f"{why}; serve {one.name!r} again")
                self._set_status(one, "failed", str(one.failure))

    # --- streams ------------------------------------------------------------------------------------------------

    def open(self, session: Session, stream: Stream, request: Open) -> StreamHandler:
        share = self.shares.get((session, request.service)) if self.shares else None
        service = share.service if share is not None else self.services.get(request.service)
        if share is None and service is not None and service.session is not session:
            # A hub reaches what is published there, whatever names it says. One that moves is as it was until it has.
            former = self._former.get(request.service)
            service = former if former is not None and former.session is session else None
        if service is None or service.instance is None:
            stream.reset(ResetCode.REFUSED, f"{request.service!r} is not served here any more")
            return stream.handler
        service.requests += 1
        return service.instance.begin(stream, request)


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
