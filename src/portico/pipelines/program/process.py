"""One process of a server of pipelines: uvicorn, its log, and how it ends.

The first time that the end is asked for, requests in flight may end within `graceful_shutdown_timeout`; the second
time it comes at once. Code that does not end does not keep the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from portico.calls.loops import run_to_the_end
from portico.errors import StartupFailed
from portico.log_text import LineFormatter
from portico.pipelines.deploying.startup import StartupStep
from portico.pipelines.program.addresses import not_bound
from portico.pipelines.settings import PipelinesSettings
from portico.types import ASGIApp

logger = logging.getLogger(__name__)

Tell = Callable[[StartupStep], object]
MakeApp = Callable[[PipelinesSettings, Tell], ASGIApp]
"""Makes the app of one process. With several processes it has to be a function of a module: each imports it anew."""

_LAST_WORDS = 5.0  # seconds beyond what requests in flight are given: lifespans have to end, too


class Stopping:
    """How the end comes: by signals, or by another thread."""

    def __init__(self, within: float) -> None:
        """*within*: seconds for the process to end in order, before it is ended whatever its threads do."""
        self.asked = 0
        """How often it was asked for."""
        self._within = within
        self._ended = threading.Event()
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def by_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask, while the block lasts. They come to the main thread, and to no other."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: self.ask()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self) -> None:
        """End; the second time at once. From any thread, and from a signal's handler."""
        self.asked += 1
        if self.asked == 1:
            threading.Thread(target=self._insist, name="portico-stop", daemon=True).start()
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._end)
            except RuntimeError:  # it is closed
                pass

    def _end(self) -> None:
        if self._server is None or self._task is None:
            return
        if not self._server.started:
            self._task.cancel()
        self._server.should_exit = True
        self._server.force_exit = self.asked > 1

    def _insist(self) -> None:
        if not self._ended.wait(self._within):
            logger.warning("a pipeline does not end; the process does")
            logging.shutdown()
            os._exit(0)

    def run(self, server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        """Run *server* to its end. Raises `SystemExit` if it cannot start."""
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            self._server, self._loop = server, runner.get_loop()
            self._task = self._loop.create_task(server.serve(sockets))
            if self.asked:
                self._loop.call_soon(self._end)
            try:
                run_to_the_end(self._loop, self._task, lambda error: False)
            except asyncio.CancelledError:
                pass  # the end was asked for while it started
        self._ended.set()


class PipelinesUvicorn(uvicorn.Server):
    """uvicorn's server, which says when it answers, and leaves signals to `Stopping`."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # uvicorn's own would raise the signal again in the end, and the process die of it


def serve(
    settings: PipelinesSettings,
    make_app: MakeApp,
    sockets: list[socket.socket],
    stopping: Stopping,
    tell: Tell,
    ready: Callable[[], object],
) -> int:
    """Serve in this process, until *stopping* is asked; returns the exit status. Raises `StartupFailed`."""
    config = uvicorn.Config(
        make_app(settings, tell),
        log_config=None,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=settings.graceful_shutdown_timeout,
    )
    server = PipelinesUvicorn(config, ready)
    try:
        stopping.run(server, sockets)
    except SystemExit:
        raise StartupFailed("the server could not start; what is said above tells why") from None
    except OSError as error:  # another program took the port while the pipelines were made ready
        raise not_bound(f"{settings.host}, port {settings.port}", settings.port, error) from None
    return 0


def configure_log() -> None:
    """Write what this process logs to standard error; uvicorn's own start and end are said otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("portico").setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    uvicorns = logging.getLogger("uvicorn.error")
    uvicorns.setLevel(logging.WARNING)
    uvicorns.addFilter(_is_no_ended_request)


def _is_no_ended_request(record: logging.LogRecord) -> bool:
    """Requests that the end of the server has cut off are no failure of theirs: uvicorn says how many there were."""
    if record.exc_info:
        return not isinstance(record.exc_info[1], asyncio.CancelledError)
    return not record.getMessage().rstrip().endswith("CancelledError")  # Starlette's text of a start that was cut off


def within(settings: PipelinesSettings) -> float:
    """Seconds that a process may take to end."""
    return settings.graceful_shutdown_timeout + _LAST_WORDS
