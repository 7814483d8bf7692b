"""One app, served until a signal or the hub ends it: what ``portico serve`` runs, or each child of ``--reload``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from portico.adapters import functions, pipelines
from portico.adapters.take import take
from portico.adapters.taken import TakeOptions
from portico.calls.loops import run_to_the_end
from portico.cli.loading import load_app, make_app, own
from portico.cli.settings import Settings
from portico.errors import LinkClosed, PorticoError, StartupFailed
from portico.provider.dial import Dial, dial_websocket
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.thread import LoopThread

_ACCESS = {
    "public": "public: whoever has the link may open it (--access says who may)",
    "key": "open to whoever has a key (portico keys create {name})",
    "private": "open to the workspace's users, and to whoever has a key (portico keys create {name})",
}


def serve(options: argparse.Namespace, settings: Settings, ending: Ending | None = None) -> int:
    """Serve until the end; returns the exit status. Raises `PorticoError` for what does not work."""
    logging.getLogger("portico").setLevel(logging.WARNING)
    thing = load_app(options.app, app_dir=options.app_dir)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        loop = runner.get_loop()
        serving = loop.create_task(_serve(thing, options, settings, ending or Ending()))
        return run_to_the_end(loop, serving, lambda error: isinstance(error, _LostPatience))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class _LostPatience(SystemExit):
    """The end was asked for a second time. An app's own SystemExit is the app's failure, and ends nothing."""


class Ending:
    """How the end comes: by signals. A parent process has another way."""

    quiet = False
    """Whether the URL is known already."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.hold = False
        """Whether the name is left to the next start."""

    def install(self) -> None:
        """Begin to listen, on the running loop."""
        loop = asyncio.get_running_loop()
        for number, hold in ((signal.SIGINT, False), (signal.SIGTERM, True)):
            try:
                loop.add_signal_handler(number, self.end, hold)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_, hold=hold: loop.call_soon_threadsafe(self.end, hold))

    def end(self, hold: bool = False) -> None:
        if self.ended.is_set():  # whoever says it again has lost patience
            raise _LostPatience(1)
        self.hold = hold
        self.ended.set()

    def published(self, service: Service) -> None:
        """The service is live."""


async def _serve(thing: Any, options: argparse.Namespace, settings: Settings, ending: Ending) -> int:
    ending.install()
    if options.factory:
        thing = await make_app(thing, options.app)
    async with _hub(options, settings) as (address, dial):
        provider = Provider(dial=dial, thread=LoopThread.adopt(asyncio.get_running_loop()))
        service = Service(settings.name, settings.options, "app", (), "", provider=provider)
        asked = TakeOptions(
            by="chat" if options.chat else "",
            name=settings.name,
            title=settings.options.title,
            mount=settings.options.mount,
            threads=settings.options.threads,
            report=service.log.report,
            wiring=settings.wiring,
        )
        try:
            taken = take(thing, asked)
        except StartupFailed as error:  # an object of a class could not be made
            if error.__cause__ is None:
                raise
            raise StartupFailed(f"{error}\n{own('startup', error.__cause__)}") from error
        service._takes(taken)
        for remark in taken.remarks:
            print(remark, file=sys.stderr)
        publishing = asyncio.ensure_future(provider.publish(service, taken.app, address))
        await _first(publishing, ending)
        if not publishing.done():
            publishing.cancel()
            await provider.shutdown()
            return 0
        try:
            publishing.result()
        except StartupFailed as error:
            if error.__cause__ is None:
                raise
            raise StartupFailed(f"the app's startup failed.\n{own('startup', error.__cause__)}") from error
        if not ending.quiet:
            print(service.url, flush=True)
            print(await _how_to_open(service, settings), file=sys.stderr)
            if service.kind == functions.KIND:
                print(f"{service.how}: a page with a form; below it run, docs and mcp (for agents)", file=sys.stderr)
            elif service.kind == pipelines.KIND:
                print(f"{service.how}; below it run, docs, mcp (for agents) and v1 (for chat clients)", file=sys.stderr)
        ending.published(service)
        watch = _Watch(service)
        provider.subscribe(watch.changed)
        await _first(asyncio.ensure_future(watch.gone.wait()), ending)
        if watch.gone.is_set():
            await provider.shutdown()
            raise service.failure or LinkClosed(f"{service.name} is stopped: {service.error}")
        await provider.leave(options.timeout_graceful_shutdown, hold=ending.hold)
        return 0


@contextlib.asynccontextmanager
async def _hub(options: argparse.Namespace, settings: Settings) -> AsyncIterator[tuple[HubAddress, Dial]]:
    """The hub to publish on, and the way to it: a relay somewhere, or one of this process."""
    if settings.address is not None:
        yield settings.address, dial_websocket
        return
    from portico.cli.embedded import embedded

    async with embedded(options.host, options.port) as (address, dial):
        yield address, dial


async def _how_to_open(service: Service, settings: Settings) -> str:
    if settings.embedded and service.access != "public":  # nobody else can make keys for it
        key = await asyncio.to_thread(service.key, "1d")
        return f"open to whoever has a key; by this link for a day: {service.url}?portico_key={key}"
    return _ACCESS[service.access].format(name=service.name)


async def _first(task: asyncio.Future[Any], ending: Ending) -> None:
    """Wait until *task* is done, or the end is asked for."""
    ended = asyncio.ensure_future(ending.ended.wait())
    try:
        await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()


class _Watch:
    """Tells on standard error what becomes of the link."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._status, self._error = service.status, service.error
        self.gone = asyncio.Event()

    def changed(self, service: Service) -> None:
        if service is not self._service or (service.status, service.error) == (self._status, self._error):
            return
        again, self._status, self._error = service.status == self._status, service.status, service.error
        if service.status == "reconnecting" and again:
            print(f"portico: {service.error}; it is asked again", file=sys.stderr)
        elif service.status == "reconnecting":
            print("portico: the link to the hub was lost; it is being dialled again", file=sys.stderr)
        elif service.status == "live":
            print("portico: live again", file=sys.stderr)
        elif service.status in ("stopped", "failed"):
            self.gone.set()


class Piped(Ending):
    """The end comes over a pipe from the parent process, or with the parent's end."""

    def __init__(self, connection: Any, quiet: bool) -> None:
        super().__init__()
        self._connection = connection
        self.quiet = quiet

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent says what it means
        threading.Thread(target=self._listen, args=(loop,), daemon=True, name="portico-parent").start()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            hold = bool(self._connection.recv())
        except (EOFError, OSError):
            hold = False
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(self.end, hold)

    def published(self, service: Service) -> None:
        session = service.session
        if session is not None:
            self._connection.send((session.address.token, session.address.workspace))


def serve_child(options: argparse.Namespace, settings: Settings, connection: Any, quiet: bool) -> None:
    """What a child of ``--reload`` runs. Its exit status is that of the command."""
    try:
        status = serve(options, settings, Piped(connection, quiet))
    except PorticoError as error:
        print(f"portico: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)
