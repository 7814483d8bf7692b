"""Where synchronous code of a dialogue runs, so that it can wait for an answer and hold up nothing else.

- `Greenlets`, where greenlet is installed: on a few threads, which code that waits leaves to other code.
- `Threads`, where it is not: on a thread for each dialogue, up to a bound.
- `Inline`, in a browser tab, where there are no threads: on the loop. To wait it needs a browser that switches
  stacks (JSPI).

How code waits is in `waiting`. Asynchronous code needs none of this: it awaits a future.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from portico.calls.waiting import HAS_THREADS

if TYPE_CHECKING:
    from portico.calls.shared_threads import SharedThreads
    from portico.calls.workers import Workers

MOST_SHARED = 32
"""Threads that code of one `Greenlets` shares: as many as `concurrent.futures` takes at most by itself. So many calls
can compute, or wait for something other than an answer, at the same time."""

MOST_THREADS = 200
"""Calls of one `Threads`: what a process bears beside its other threads (a stack of 8 MiB of address space each)."""

MOST_STACKS = 40
"""Calls of one `Inline`: as many as synchronous endpoints overlap in a tab. Each that waits holds a stack."""


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
