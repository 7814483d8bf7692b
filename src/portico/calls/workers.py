"""A bounded pool of threads for synchronous code, whose threads can be given up and come back.

Not `concurrent.futures`: its threads keep the interpreter from ending, and one that never comes back is a place less
for ever. Here a job is dropped if it has not begun, or given up if it has: then another thread may stand in for its
own, up to as many as the pool has. In a browser, where there are no threads, this module is never imported.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

_IDLE = 10.0  # seconds that a thread waits for work: between requests of one page, and not for the kernel's lifetime


class Job:
    """One call that waits for a thread, or has one."""

    __slots__ = ("begun", "done", "given_up", "run")

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run
        self.begun = self.done = self.given_up = False


class Workers:
    """At most *size* threads, made when they are wanted; and as many again in the place of those that were given up."""

    def __init__(self, size: int, name: str) -> None:
        self.size = size
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._threads = 0
        self._idle = 0
        self._given_up = 0

    def submit(self, run: Callable[[], None]) -> Job:
        """Have *run*, which must raise nothing, called on a thread, once one is free: who waits longest comes first.

        Raises `RuntimeError` if the system has no thread for it and the pool has none.
        """
        job = Job(run)
        with self._changed:
            self._waiting.append(job)
            try:
                self._provide()
            except RuntimeError:
                if not self._threads:
                    self._waiting.remove(job)
                    raise
        return job

    def leave(self, job: Job) -> bool:
        """Nobody waits for *job* any more. Returns whether it is over: it ended, or had not begun and never will."""
        with self._changed:
            if job.begun:
                return job.done
            self._waiting.remove(job)
            job.begun = job.done = True
            return True

    def give_up(self, job: Job) -> bool:
        """Let another thread stand in for that of *job*, if that runs still; returns whether it does."""
        with self._changed:
            if job.done:
                return False
            if not job.given_up:
                job.given_up = True
                self._given_up += 1
                self._provide()
            return True

    def _most(self) -> int:
        return self.size + min(self._given_up, self.size)

    def _provide(self) -> None:
        if len(self._waiting) <= self._idle:
            self._changed.notify()
        elif self._threads < self._most():
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._threads += 1

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.run()
            except BaseException:  # it should raise nothing: whatever it does, the pool keeps its thread
                logger.exception("a job of %s failed", self._name)
            with self._changed:
                job.done = True
                if job.given_up:
                    self._given_up -= 1
            del job  # what it holds must not live until the next one comes

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting:
                self._idle += 1
                asked = self._changed.wait(_IDLE)
                self._idle -= 1
                if not asked and not self._waiting:
                    self._threads -= 1
                    return None
            if self._threads > self._most():  # one that was given up is back
                self._threads -= 1
                self._changed.notify()
                return None
            job = self._waiting.popleft()
            job.begun = True
            return job
