"""How synchronous code of a dialogue runs, so that it can wait for an answer and nothing else has to.

- `Greenlets`, where greenlet is installed: on a few threads, which code that waits leaves to other code.
- `Threads`, else: on a thread each, up to a bound.
- `Inline`, in a browser tab, where there are no threads: on the loop. To wait it needs a browser that switches
  stacks (JSPI).

How code waits depends on where it asks, not on where it began: it may ask from a thread that it has made itself.
Asynchronous code needs none of this: it awaits a future.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextvars import Context
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from portico.errors import CannotWait

if TYPE_CHECKING:
    from portico.calls.shared_threads import SharedThreads
    from portico.calls.workers import Workers

HAS_THREADS = sys.platform != "emscripten"
if HAS_THREADS:
    import threading

MOST_SHARED = 32
"""Threads that code of one `Greenlets` shares: as many as `concurrent.futures` takes at most by itself. So many calls
can compute, or wait for something other than an answer, at the same time."""

MOST_THREADS = 200
"""Calls of one `Threads`: what a process bears beside its other threads (a stack of 8 MiB of address space each)."""

MOST_STACKS = 40
"""Calls of one `Inline`: as many as synchronous endpoints overlap in a tab. Each that waits holds a stack."""


class Waiter(Protocol):
    """Where code waits, once."""

    def wake(self) -> None:
        """Let the code go on; from any thread, and before it waits too."""

    def wait(self, deadline: float) -> None:
        """Wait until woken, or until *deadline* on `time.monotonic`'s clock."""


class Way(Protocol):
    """How synchronous code runs."""

    most: int
    """Calls at once, those that wait among them."""
    at_most: str
    """What to tell who wants more."""

    def run(self, call: Callable[[], None], context: Context) -> None:
        """Have *call*, which must raise nothing, called soon in *context*. Raises `RuntimeError` without a thread."""


def usual_way() -> Way:
    """The best way that works here."""
    if not HAS_THREADS:
        return Inline()
    return Threads() if find_spec("greenlet") is None else Greenlets()


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


class Greenlets:
    """On threads that are shared. Of the calls that wait, as many as the dialogues' own bound allows."""

    def __init__(self, threads: int = MOST_SHARED) -> None:
        self.most = sys.maxsize
        self.at_most = ""
        self._size = threads
        self._threads: SharedThreads | None = None

    def run(self, call: Callable[[], None], context: Context) -> None:
        if self._threads is None:
            from portico.calls.shared_threads import SharedThreads

            self._threads = SharedThreads(self._size, "portico-dialogues")
        self._threads.submit(call, context)


class Threads:
    """On a thread for each call, from its beginning to its end."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        self.most = most
        self.at_most = (
            f"{most} synchronous functions run or wait already, each on a thread of its own, and there may be no more. "
            "Try again later. The author of the app can install greenlet (pip install 'portico[workflows]'), by which "
            "those that wait need no thread, or make the function asynchronous (async def)."
        )
        self._workers: Workers | None = None

    def run(self, call: Callable[[], None], context: Context) -> None:
        if self._workers is None:
            from portico.calls.workers import Workers

            self._workers = Workers(self.most, "portico-dialogues")
        self._workers.submit(lambda: context.run(call))


class Inline:
    """On the event loop itself."""

    def __init__(self, most: int = MOST_STACKS) -> None:
        self.most = most
        self.at_most = (
            f"{most} synchronous functions wait already in this browser tab, each with a stack of its own, and there "
            "may be no more. Try again later. The author of the app can make the function asynchronous (async def)."
        )

    def run(self, call: Callable[[], None], context: Context) -> None:
        async def inline() -> None:
            call()

        task = asyncio.get_running_loop().create_task(inline(), context=context)
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)


_RUNNING: set[asyncio.Task[None]] = set()
"""Calls in a tab: a loop keeps no hold of its tasks."""


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
