"""A few threads for much synchronous code that waits, by greenlets: code that waits leaves its thread to other code.

Each call runs in a greenlet, on one thread from its beginning to its end. While it waits (`Stop.wait`) its thread runs
other calls. While it computes, those that wait on the same thread wait for that too; so each call gets a thread that
has no other as long as the pool may have more, and beyond that the one with the fewest. Code that shares a thread
must not hold a `threading.Lock` while it waits: who wants that lock on the same thread would stop it for good.

Imported only where greenlet is installed; never in a browser, where there are no threads.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from asyncio.tasks import _enter_task, _leave_task
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import greenlet

from portico.calls.waiting import HERE

logger = logging.getLogger(__name__)

_IDLE = 10.0  # seconds that a thread on which nothing waits stays for more work: as `calls.workers` does


@dataclass(frozen=True, slots=True)
class _Start:
    run: Callable[[], None]
    context: Context


class Stop:
    """Where code waits once, on one of the threads. Made and waited for there; woken from any thread."""

    def __init__(self, thread: _Thread) -> None:
        self._thread = thread
        self._greenlet: Any = None
        self._woken = False

    def wake(self) -> None:
        """Let the code go on, or not even begin to wait."""
        thread = self._thread
        with thread.pool.lock:
            self._woken = True
            if thread.waiting.pop(self, None) is not None:
                thread.go_on(self)

    def wait(self, deadline: float) -> None:
        """Leave the thread to others, until woken or until *deadline* on `time.monotonic`'s clock."""
        thread = self._thread
        self._greenlet = greenlet.getcurrent()
        with _without_running_loop():
            try:
                while True:
                    with thread.pool.lock:
                        if self._woken or time.monotonic() >= deadline:
                            return
                        thread.waiting[self] = deadline
                    thread.hub.switch()
            finally:  # whatever it was that let the code go on
                with thread.pool.lock:
                    thread.waiting.pop(self, None)
                self._greenlet = None

    def resume(self) -> None:
        """Let the code go on, if it waits still; called on its thread."""
        if self._greenlet is not None:
            self._greenlet.switch()


@contextmanager
def _without_running_loop() -> Iterator[None]:
    """Set aside the event loop that the code itself runs, by `asyncio.run`: asyncio knows one for each thread."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        yield
        return
    task, hooks = asyncio.current_task(loop), sys.get_asyncgen_hooks()
    if task is not None:
        _leave_task(loop, task)
    asyncio._set_running_loop(None)
    sys.set_asyncgen_hooks(None, None)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*hooks)
        asyncio._set_running_loop(loop)
        if task is not None:
            _enter_task(loop, task)


class SharedThreads:
    """At most *size* threads, made when they are wanted."""

    def __init__(self, size: int, name: str) -> None:
        self.size = size
        self.name = name
        self.lock = threading.RLock()
        """Of all its threads: each holds it for some microseconds."""
        self.starts: deque[_Start] = deque()
        """Calls that wait for a thread, while none is idle and there may be no more."""
        self.idle: set[_Thread] = set()
        self.threads = 0

    def submit(self, run: Callable[[], None], context: Context) -> None:
        """Have *run*, which must raise nothing, called in *context* on one of the threads.

        Raises `RuntimeError` if the system has no thread for it, and the pool has none.
        """
        with self.lock:
            self.place(_Start(run, context))

    def place(self, start: _Start) -> None:
        """Give *start* to an idle thread, a new one, or whichever is free next. The lock is held."""
        best = min(self.idle, key=lambda thread: len(thread.waiting), default=None)
        if best is not None and (not best.waiting or self.threads >= self.size):
            best.begin(start)
            return
        if self.threads < self.size:
            try:
                _Thread(self, start)
                return
            except RuntimeError:  # the system gives no more threads: then those that there are must do
                if not self.threads:
                    raise
                if best is not None:
                    best.begin(start)
                    return
        self.starts.append(start)


class _Thread:
    """One of the threads: what runs next on it, and what waits."""

    def __init__(self, pool: SharedThreads, start: _Start) -> None:
        self.pool = pool
        self.waiting: dict[Stop, float] = {}
        """What waits, and until when."""
        self.hub: Any = None
        """The greenlet that hands the thread on."""
        self._changed = threading.Condition(pool.lock)
        self._ready: deque[Stop] = deque()
        self._start: _Start | None = start
        self._went_on = False
        """Whether what ran last was code that had waited: it takes turns with what has not begun."""
        threading.Thread(target=self._work, name=pool.name, daemon=True).start()
        pool.threads += 1

    def begin(self, start: _Start) -> None:
        """Have an idle thread begin *start*. The lock is held."""
        self._start = start
        self._awake()

    def go_on(self, stop: Stop) -> None:
        """Have what waited at *stop* go on, once what runs on the thread leaves it. The lock is held."""
        self._ready.append(stop)
        self._awake()

    def _awake(self) -> None:
        self.pool.idle.discard(self)
        self._changed.notify()

    def _work(self) -> None:
        self.hub = greenlet.getcurrent()
        HERE.waiter = lambda: Stop(self)
        while (work := self._next()) is not None:
            try:
                if isinstance(work, Stop):
                    work.resume()
                else:
                    call = greenlet.greenlet(work.run)
                    call.gr_context = work.context
                    call.switch()
            except BaseException:  # it should raise nothing: whatever it does, those that wait keep their thread
                logger.exception("a call on a thread of %s failed", self.pool.name)
            work = call = None  # what they hold must not live until the next one comes

    def _next(self) -> Stop | _Start | None:
        pool = self.pool
        with pool.lock:
            while True:
                if self._ready and not (self._went_on and pool.starts):
                    if self._start is not None:  # it came in the same moment, and need not wait for this one
                        start, self._start = self._start, None
                        pool.place(start)
                    self._went_on = True
                    return self._ready.popleft()
                self._went_on = False
                if self._start is not None:
                    start, self._start = self._start, None
                    return start
                if pool.starts:
                    return pool.starts.popleft()
                if not self._wait():
                    return None

    def _wait(self) -> bool:
        """Wait for work, or for a deadline of what waits; returns whether the thread is still wanted."""
        pool, now = self.pool, time.monotonic()
        late = [stop for stop, deadline in self.waiting.items() if deadline <= now]
        for stop in late:
            del self.waiting[stop]
            self._ready.append(stop)
        if late:
            return True
        until = min(self.waiting.values(), default=now + _IDLE)
        pool.idle.add(self)
        asked = self._changed.wait(min(until - now, threading.TIMEOUT_MAX))
        pool.idle.discard(self)
        if asked or self.waiting or self._start is not None or self._ready or pool.starts:
            return True
        pool.threads -= 1
        return False
