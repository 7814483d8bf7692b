"""``--reload``: the app in a child process, which is started anew when a Python file changes. The URL stays.

The child leaves its name to its successor, and visitors wait in between. One that does not start leaves the parent
waiting for the next change.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from portico.cli.settings import Settings
from portico.errors import InvalidOption
from portico.provider.thread import LoopThread

_LEAVES_WITHIN = 5.0  # seconds beyond what requests in flight are given: apps have to shut down, too
_LOOK = 0.2  # seconds between two looks at the child


def supervise(options: argparse.Namespace, settings: Settings) -> int:
    """Keep a child serving until a signal ends it; returns the exit status."""
    if importlib.util.find_spec("watchfiles") is None:
        raise InvalidOption("--reload needs watchfiles: pip install 'portico[relay]'")
    end = _End()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end.signalled)
    with _relay(options, settings):
        return _watch(options, settings, end)


class _End:
    """Whether a signal has asked for the end. No `threading.Event`: a signal that comes while another is handled would
    wait for the lock that the first one holds."""

    def __init__(self) -> None:
        self._signals: list[int] = []

    def signalled(self, number: int, frame: Any) -> None:
        self._signals.append(number)

    def is_set(self) -> bool:
        return bool(self._signals)

    @property
    def hold(self) -> bool:
        """Whether the name is left to the next start."""
        return self._signals[:1] == [signal.SIGTERM]


@contextlib.contextmanager
def _relay(options: argparse.Namespace, settings: Settings) -> Iterator[None]:
    """Without a server: a relay in this process, in a thread, so that it outlives the children."""
    if settings.address is not None:
        yield
        return
    from portico.cli.embedded import embedded

    thread = LoopThread()
    relay = embedded(options.host, options.port)
    settings.address, _ = thread.run(relay.__aenter__())
    try:
        yield
    finally:
        thread.run(relay.__aexit__(None, None, None))
        thread.stop()


def _watch(options: argparse.Namespace, settings: Settings, end: _End) -> int:
    import watchfiles

    folders = options.reload_dir or [options.app_dir or "."]
    child = _Child(options, settings)
    child.start()
    # Python files alone, as uvicorn does: an app's own database or log changes with each request
    for changes in watchfiles.watch(
        *folders,
        watch_filter=watchfiles.PythonFilter(),
        stop_event=end,
        raise_interrupt=False,
        rust_timeout=int(_LOOK * 1000),
        yield_on_timeout=True,
    ):
        if changes:
            changed = sorted(path for _, path in changes)
            print(f"portico: {changed[0]} changed; starting the app anew", file=sys.stderr)
            child.stop(hold=True)
            child.start()
        else:
            child.look()
    return child.stop(hold=end.hold)


class _Child:
    """The process that serves, and what has to outlive it."""

    def __init__(self, options: argparse.Namespace, settings: Settings) -> None:
        self._options = options
        self._settings = settings
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None
        self._was_live = False

    def start(self) -> None:
        from portico.cli.serving import serve_child

        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=serve_child, args=(self._options, self._settings, theirs, self._was_live), name="portico-app"
        )
        self._process.start()
        theirs.close()

    def look(self) -> None:
        """Hear what the child has to say; wait for a change if it has ended."""
        self._hear()
        if self._process is not None and not self._process.is_alive():
            self._hear()
            self._process.join()
            self._process = None
            print("portico: waiting for a change", file=sys.stderr)

    def _hear(self) -> None:
        """Where it is live, and as whom: an anonymous provider comes back to the workspace that was made for it."""
        try:
            while self._pipe.poll():
                token, workspace = self._pipe.recv()
                self._was_live = True
                if self._settings.address is not None:
                    self._settings.address = replace(self._settings.address, token=token, workspace=workspace)
        except (EOFError, OSError):
            pass

    def stop(self, *, hold: bool) -> int:
        """End the child; returns the exit status."""
        if self._process is None:
            return 0
        self._hear()
        try:
            self._pipe.send(hold)
        except OSError:
            pass  # it has ended by itself
        self._process.join(self._options.timeout_graceful_shutdown + _LEAVES_WITHIN)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()
        status = 0 if self._process.exitcode is None else abs(self._process.exitcode)
        self._process = None
        return status
