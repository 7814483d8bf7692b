"""Runs a server of pipelines: takes its addresses, leaves its key, and says how far it is.

The addresses are taken before any pipeline is made ready, so that a port in use is said at once; they answer when all
pipelines are. SIGTERM and SIGINT end it in order, with status 0.

Here: what is done once for the whole server. Not here: one process (`process`) and several (`processes`), the app that
they run (`app`), and what a command line says (`portico.cli.run`).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from portico.errors import StoreFailed
from portico.log_text import one_line
from portico.pipelines import key_file
from portico.pipelines.deploying.startup import StartupStep
from portico.pipelines.program.addresses import listen
from portico.pipelines.program.process import MakeApp, Stopping, configure_log, serve, within
from portico.pipelines.program.processes import Processes
from portico.pipelines.settings import PipelinesSettings

_MOST_NAME = 200  # characters of a pipeline's name, which is a file's
_MOST_WHY = 500  # characters of an error's first line; the log has all of it


def run(settings: PipelinesSettings, make_app: MakeApp, *, at: str = "") -> int:
    """Serve until a signal ends it; returns the exit status. Blocks; takes the process's signals.

    Says on standard output the URL, with the path *at*, once it answers, and on standard error how far it is. Raises
    `StartupFailed`.
    """
    configure_log()
    sockets = listen(settings.host, settings.port)
    settings = replace(settings, port=sockets[0].getsockname()[1])
    if not settings.no_auth and not settings.api_key:
        settings, make_key = replace(settings, api_key=key_file.make_key()), True
    else:
        make_key = False
    voice = Voice(settings, [each.getsockname()[0] for each in sockets], leaves_key=make_key, at=at)
    try:
        if settings.workers > 1:
            with tempfile.TemporaryDirectory(prefix="portico-crew-") as crew:  # its user alone may enter it
                settings = replace(settings, crew_dir=crew)
                return Processes(settings, make_app, sockets, voice.step, voice.ready).run()
        stopping = Stopping(within(settings))
        with stopping.by_signals():
            return serve(settings, make_app, sockets, stopping, voice.step, voice.ready)
    finally:
        voice.end()
        for each in sockets:
            each.close()


class Voice:
    """What the one who started the server is told of it, and its key, which the commands find."""

    def __init__(self, settings: PipelinesSettings, addresses: Sequence[str], *, leaves_key: bool, at: str) -> None:
        self._settings = settings
        self._addresses = addresses
        self._leaves_key = leaves_key
        self._at = at
        self._left: key_file.KeyFile | None = None
        self._began = time.monotonic()
        self._up: list[str] = []
        self._failed: list[str] = []

    def step(self, step: StartupStep) -> None:
        """One pipeline of the folder is up, or is not."""
        place = f"[{step.done:{len(str(step.total))}}/{step.total}]"
        if step.error is None:
            self._up.append(step.name)
            self._say(f"{place} {one_line(step.name, _MOST_NAME)} is up ({step.seconds:.1f} s)")
        else:
            self._failed.append(step.name)
            why = one_line(str(step.error).partition("\n")[0], _MOST_WHY)
            self._say(f"{place} {one_line(step.name, _MOST_NAME)} failed: {why}")

    def ready(self) -> None:
        """It answers."""
        total = len(self._up) + len(self._failed)
        if total:
            failed = f"; failed: {one_line(', '.join(self._failed), _MOST_WHY)}" if self._failed else ""
            seconds = time.monotonic() - self._began
            self._say(f"{len(self._up)} of {total} pipelines are up after {seconds:.1f} s{failed}")
        else:
            folder = Path(self._settings.pipelines_dir).absolute()
            lacking = "" if folder.is_dir() else ", which does not exist"
            self._say(
                f"no pipelines are in {one_line(str(folder), _MOST_WHY)} yet{lacking}. "
                "Deploy one: portico pipeline deploy-files -n NAME FOLDER"
            )
        self._say(self._who_may())
        print(self.url, flush=True)

    @property
    def url(self) -> str:
        host = self._settings.host.strip("[]")
        host = "localhost" if host in ("", "0.0.0.0", "::") else host
        return (
            f"http://{f'[{host}]' if ':' in host else host}:{self._settings.port}{self._settings.root_path}{self._at}"
        )

    def _who_may(self) -> str:
        settings = self._settings
        if settings.no_auth:
            return (
                "WARNING: no key is asked for (--no-auth): whoever reaches this port may deploy, and so run any code "
                f"as this user. It listens on {', '.join(self._addresses)}"
            )
        needs = "deploying needs a key" if settings.loopback else "every request from another machine needs a key"
        if not self._leaves_key:
            return f"{needs}: the one that was given (PORTICO_API_KEY)"
        try:
            folder = Path(settings.key_dir) if settings.key_dir else key_file.default_folder()
            self._left = key_file.KeyFile.leave(settings.api_key, settings.port, self._addresses, folder)
        except StoreFailed as error:
            return f"{needs}, and it cannot be left for the commands: {error}. Give one by PORTICO_API_KEY"
        return f"{needs}: the commands find it in {self._left.path}"

    def _say(self, text: str) -> None:
        print(f"portico: {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """The server has ended."""
        if self._left is not None:
            self._left.remove()
