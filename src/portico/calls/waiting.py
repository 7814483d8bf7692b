"""What synchronous code of a dialogue waits by: once, where it stands, until it is woken or its time is up.

How code waits depends on where it asks, not on where it began: it may ask from a thread that it has made itself. Not
here: where the code runs (`dialogue_runners`), and asynchronous code, which awaits a future.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Protocol

from portico.errors import CannotWait

HAS_THREADS = sys.platform != "emscripten"
if HAS_THREADS:
    import threading


class Waiter(Protocol):
    """Where code waits, once."""

    def wake(self) -> None:
        """Let the code go on; from any thread, and before it waits too."""

    def wait(self, deadline: float) -> None:
        """Wait until woken, or until *deadline* on `time.monotonic`'s clock."""


class _Here(threading.local if HAS_THREADS else object):  # type: ignore[misc]
    waiter: Callable[[], Waiter] | None = None
    """Makes what code on this thread waits by, where that is not the thread itself."""


HERE = _Here()


def waiter(loop: asyncio.AbstractEventLoop) -> Waiter:
    """What the calling code can wait by. *loop* is the one that the apps' asynchronous code runs on.

    Raises `CannotWait` where it cannot wait.
    """
    if not HAS_THREADS:
        return _InTab(loop)
    return _OnThread() if HERE.waiter is None else HERE.waiter()


class _OnThread:
    """Waits by stopping the thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.wake = self._event.set

    def wait(self, deadline: float) -> None:
        self._event.wait(min(deadline - time.monotonic(), threading.TIMEOUT_MAX))


class _InTab:
    """Waits by letting JavaScript put the stack aside (JSPI)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        from pyodide.ffi import can_run_sync

        if not can_run_sync():
            raise CannotWait(
                "Synchronous code cannot wait for an answer in this browser, which does not switch stacks (JSPI). "
                "Make the function asynchronous (async def, and await what asks), or open the page in Chromium, or in "
                "Firefox from version 139 on."
            )
        self._loop = loop
        self._woken: asyncio.Future[None] = loop.create_future()

    def wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)

    def wait(self, deadline: float) -> None:
        from pyodide.ffi import run_sync

        timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self.wake)
        try:
            run_sync(self._woken)
        finally:
            timer.cancel()
