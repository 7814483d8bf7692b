"""The owner of services and sessions: publishes each service on its hub, and calls the right app for each stream.

There is one in a process (`current`). Its coroutines run on its own loop; `run` brings a caller there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from portico.errors import LinkClosed, PorticoError, StartupFailed
from portico.link import Stream, StreamHandler
from portico.protocol import ResetCode
from portico.protocol.events import Open
from portico.provider.discovery import HubAddress
from portico.provider.instance import Instance
from portico.provider.service import Service
from portico.provider.session import Session
from portico.provider.thread import LoopThread
from portico.types import ASGIApp

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Provider:
    """Holds apps, and keeps them published."""

    def __init__(self) -> None:
        self.thread = LoopThread()
        self.services: dict[str, Service] = {}
        self.sessions: dict[str, Session] = {}
        self.listener: Callable[[Service], None] | None = None
        """Told when a service's status changes, on the provider's loop."""
        self._tasks: set[asyncio.Task[Any]] = set()

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
        instance = Instance(app, service.log.report)
        await instance.start()
        before = self.services.get(service.name)
        if before is not None and before.session is not None and before.session.address.url != address.url:
            await self.stop(service.name)  # the same name moves to another hub
            before = None
        session = self._session(address)
        service.session, service.instance = session, instance
        self.services[service.name] = service
        try:
            await session.linked()
            service.url = await session.register(service.descriptor())
        except PorticoError:
            if before is not None:
                self.services[service.name] = before
            else:
                self.services.pop(service.name, None)
            self._close_if_unused(session)
            await instance.retire(0)
            raise
        self._set_status(service, "live")
        if before is not None and before is not service:
            before.status = "stopped"
            before.error = "it was served again"
            if before.instance is not None:
                self._spawn(before.instance.retire())
        return service

    def publish_soon(self, publishing: Coroutine[Any, Any, Service]) -> None:
        """Begin publishing where no thread can wait for it; await the service to know when it is live."""
        self._spawn(publishing)

    async def replace(self, service: Service, app: ASGIApp) -> None:
        """Put *app* in the place of the service's app: no request is lost; those in flight end on the old one.

        Raises `StartupFailed`, and keeps the old app, if the new one does not start.
        """
        instance = Instance(app, service.log.report)
        await instance.start()
        old, service.instance = service.instance, instance
        if old is not None:
            self._spawn(old.retire())

    async def republish(self, service: Service) -> None:
        """Tell the hub of changed options, or of changed models."""
        if service.session is not None and service.session.status == "linked":
            service.url = await service.session.register(service.descriptor())

    async def stop(self, name: str) -> None:
        """Take a service down; requests in flight may end."""
        service = self.services.pop(name, None)
        if service is None:
            return
        session, instance = service.session, service.instance
        if session is not None:
            try:
                await session.unregister(name)
            except PorticoError as error:
                logger.debug("unregistering %s: %s", name, error)
        self._set_status(service, "stopped")
        if instance is not None:
            self._spawn(self._retire(instance, session))

    async def _retire(self, instance: Instance, session: Session | None) -> None:
        await instance.retire()
        if session is not None:
            self._close_if_unused(session)

    async def live(self, service: Service) -> Service:
        """Wait until *service* is live. May be awaited on any loop."""
        loop = self.thread.start()
        waiting = self._wait_live(service)
        if asyncio.get_running_loop() is loop:
            await waiting
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(waiting, loop))
        return service

    async def _wait_live(self, service: Service) -> None:
        if service.status in ("starting", "reconnecting") and service.session is not None:
            await service.session.linked()
        if service.status in ("failed", "stopped"):
            raise (
                StartupFailed(service.error)
                if service.status == "failed"
                else LinkClosed(service.error or "it was stopped")
            )

    async def shutdown(self) -> None:
        """Stop every service and close every session: the process ends."""
        services = list(self.services.values())
        self.services.clear()
        for session in list(self.sessions.values()):
            session.close()
        self.sessions.clear()
        for service in services:
            if service.instance is not None:
                await service.instance.retire(0)
            self._set_status(service, "stopped")

    # --- sessions -----------------------------------------------------------------------------------------------

    def _session(self, address: HubAddress) -> Session:
        session = self.sessions.get(address.url)
        if session is None or session.status in ("closed", "refused"):
            session = Session(self, address, _who(address))
            self.sessions[address.url] = session
            self._spawn(session.run())
        return session

    def _close_if_unused(self, session: Session) -> None:
        if all(service.session is not session for service in self.services.values()):
            session.close()
            if self.sessions.get(session.address.url) is session:
                del self.sessions[session.address.url]

    def _of(self, session: Session) -> list[Service]:
        return [service for service in self.services.values() if service.session is session]

    def registered_on(self, session: Session) -> list[dict[str, Any]]:
        # one that is still starting registers itself, and hears the answer
        return [service.descriptor() for service in self._of(session) if service.status == "reconnecting"]

    def session_changed(self, session: Session) -> None:
        for service in self._of(session):
            if session.status == "connecting" and service.status == "live":
                self._set_status(service, "reconnecting")
            elif session.status == "refused" and service.status == "reconnecting":
                self._set_status(service, "failed", str(session.last_error))

    def registered(self, session: Session, name: str, url: str) -> None:
        service = self.services.get(name)
        if service is not None and service.session is session:
            service.url = url
            self._set_status(service, "live")

    def lost(self, session: Session, name: str, error: PorticoError) -> None:
        service = self.services.get(name)
        if service is not None and service.session is session:
            del self.services[name]
            self._set_status(service, "stopped", str(error))
            if service.instance is not None:
                self._spawn(self._retire(service.instance, session))

    def _set_status(self, service: Service, status: str, error: str = "") -> None:
        service.status, service.error = status, error
        if self.listener is not None:
            self.listener(service)

    # --- streams ------------------------------------------------------------------------------------------------

    def open(self, session: Session, stream: Stream, request: Open) -> StreamHandler:
        service = self.services.get(request.service)
        if service is None or service.instance is None:
            stream.reset(ResetCode.REFUSED, f"{request.service!r} is not served here any more")
            return stream.handler
        service.requests += 1
        return service.instance.begin(stream, request)


def _who(address: HubAddress) -> dict[str, Any]:
    """Who this provider is, for people and for the hub's question after its kernel."""
    return {
        "kind": "kernel" if address.kernel_id else "process",
        "kernel_id": address.kernel_id,
        "notebook": os.environ.get("JPY_SESSION_NAME", ""),
        "pid": os.getpid(),
        "host": platform.node(),
        "python": platform.python_version(),
    }


_current: Provider | None = None


def current() -> Provider:
    """The process's provider; made at the first call."""
    global _current
    if _current is None:
        _current = Provider()
    return _current
