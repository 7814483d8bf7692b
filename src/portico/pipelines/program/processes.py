"""Several processes that serve the same addresses: each with all pipelines, and all with one end.

One that dies is replaced. They are told to end by a pipe, which also closes when the process that started them dies.

Here: the processes. Not here: what one does (`process`).
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from portico.errors import PorticoError, StartupFailed
from portico.pipelines.program.process import MakeApp, Stopping, Tell, configure_log, serve, within
from portico.pipelines.settings import PipelinesSettings

logger = logging.getLogger(__name__)

_LOOK = 0.2  # seconds between two looks at whether the end was asked for
_REST = (1.0, 30.0)  # seconds before a process that died is replaced: at first, and at most, if it dies again and again
_AT_ONCE = 1.0  # seconds that are left once the end was asked for twice


class Processes:
    """As many processes as `PipelinesSettings.workers` says."""

    def __init__(
        self,
        settings: PipelinesSettings,
        make_app: MakeApp,
        sockets: list[socket.socket],
        tell: Tell,
        ready: Callable[[], object],
    ) -> None:
        """*tell* is told of the first process's pipelines; *ready* is called once all processes answer."""
        self._given = (settings, make_app, sockets)
        self._within = within(settings) + 1.0  # the processes end by themselves, if they can
        self._tell = tell
        self._ready = ready
        self._workers = [_Worker(place, self._given) for place in range(settings.workers)]
        self._asked = 0
        self._told_to_end = 0

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit status. Raises `StartupFailed` if one cannot start."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)
        try:
            for worker in self._workers:
                worker.start()
            while not self._asked:
                wait([each for worker in self._workers for each in worker.waitable], _LOOK)
                self._look()
            self._end()
        finally:
            for worker in self._workers:
                worker.kill()
        return 0

    def _signalled(self, *_: Any) -> None:
        self._asked += 1

    def _look(self) -> None:
        all_were_up = all(worker.was_ready for worker in self._workers)
        for worker in self._workers:
            starts = not worker.was_ready
            for kind, what in worker.heard():
                if kind == "step" and worker.place == 0 and starts:
                    self._tell(what)
            if worker.has_ended and not all_were_up:
                raise StartupFailed(worker.said or "a process could not start; what is said above tells why")
            worker.replace_if_ended()
        if not all_were_up and all(worker.was_ready for worker in self._workers):
            self._ready()

    def _end(self) -> None:
        until = time.monotonic() + self._within
        while time.monotonic() < until and any(worker.is_alive for worker in self._workers):
            while self._told_to_end < min(self._asked, 2):
                self._told_to_end += 1
                for worker in self._workers:
                    worker.end()
                if self._told_to_end == 2:
                    until = time.monotonic() + _AT_ONCE
            wait([worker.sentinel for worker in self._workers if worker.is_alive], _LOOK)


class _Worker:
    """One process, and the one that comes after it."""

    def __init__(self, place: int, given: tuple[PipelinesSettings, MakeApp, list[socket.socket]]) -> None:
        self.place = place
        self.was_ready = False
        """Whether it has answered once."""
        self.said = ""
        """Why it could not start, if it said so."""
        self._given = given
        self._process: Any = None
        self._pipe: Connection | None = None
        self._again_at: float | None = None
        self._rest = _REST[0]
        self._context = multiprocessing.get_context("spawn")  # a fork would have this process's threads without them

    def start(self) -> None:
        ours, theirs = self._context.Pipe()
        self._pipe, self.said = ours, ""
        self._process = self._context.Process(
            target=_work, args=(*self._given, theirs), name=f"portico-pipelines-{self.place}"
        )
        self._process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def has_ended(self) -> bool:
        return self._process is not None and not self._process.is_alive()

    @property
    def sentinel(self) -> int:
        sentinel: int = self._process.sentinel
        return sentinel

    @property
    def waitable(self) -> list[Any]:
        """What is ready when there is something to hear, or the process has ended."""
        return [one for one in (self._pipe, self._process and self._process.sentinel) if one is not None]

    def heard(self) -> list[tuple[str, Any]]:
        """What it has told since the last time."""
        found: list[tuple[str, Any]] = []
        try:
            while self._pipe is not None and self._pipe.poll():
                kind, what = self._pipe.recv()
                found.append((kind, what))
                if kind == "ready":
                    self.was_ready, self._rest = True, _REST[0]
                elif kind == "failed":
                    self.said = what
        except (EOFError, OSError):
            self._close()
        return found

    def replace_if_ended(self) -> None:
        if self.has_ended:
            logger.error(
                "Process %d of the server died (status %s), and is replaced%s",
                self._process.pid,
                self._process.exitcode,
                f": {self.said}" if self.said else "",
            )
            self._process.join()
            self._process = None
            self._close()
            self._again_at = time.monotonic() + self._rest
            self._rest = min(2 * self._rest, _REST[1])
        if self._again_at is not None and time.monotonic() >= self._again_at:
            self._again_at = None
            self.start()

    def end(self) -> None:
        try:
            if self._pipe is not None:
                self._pipe.send("end")
        except OSError:
            pass  # it has ended by itself

    def kill(self) -> None:
        if self._process is not None:
            if self._process.is_alive():
                self._process.kill()
            self._process.join()
        self._close()

    def _close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def _work(settings: PipelinesSettings, make_app: MakeApp, sockets: list[socket.socket], pipe: Connection) -> None:
    """What one process does."""
    configure_log()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process tells the others
    stopping = Stopping(within(settings))
    signal.signal(signal.SIGTERM, lambda *_: stopping.ask())
    telling = threading.Lock()

    def tell(kind: str, what: object) -> None:
        with telling:
            try:
                pipe.send((kind, what))
            except OSError:
                pass  # nobody hears it any more, and `_listen` ends this process

    threading.Thread(target=_listen, args=(pipe, stopping), name="portico-stop-pipe", daemon=True).start()
    try:
        status = serve(
            settings, make_app, sockets, stopping, lambda step: tell("step", step), lambda: tell("ready", None)
        )
    except PorticoError as error:
        tell("failed", str(error))
        status = 1
    sys.exit(status)


def _listen(pipe: Connection, stopping: Stopping) -> None:
    """Until the process that started this one says that it is to end, twice, or is gone."""
    try:
        for _ in range(2):
            pipe.recv()
            stopping.ask()
    except (EOFError, OSError):
        stopping.ask()
