"""Runs coroutines on the provider's loop, for callers on other threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from portico.calls.log import Log
from portico.errors import PorticoError
from portico.provider.thread import LoopThread

logger = logging.getLogger(__name__)


class Work:
    """Coroutines on the loop of *thread*."""

    def __init__(self, thread: LoopThread) -> None:
        self._thread = thread
        self._tasks: set[asyncio.Task[Any]] = set()

    def do(self, coroutine: Coroutine[Any, Any, Any], log: Log | None = None) -> None:
        """Run *coroutine* to its end, where the caller can wait for it; else `begin` it.

        Nobody can wait on the loop itself, nor in a page whose browser does not switch stacks.
        """
        if self._thread.can_wait():
            self._thread.run(coroutine)
        else:
            self.begin(coroutine, log)

    def begin(self, coroutine: Coroutine[Any, Any, Any], log: Log | None = None) -> None:
        """Run *coroutine* from any thread, without waiting for it.

        What goes wrong as it may is told to *log*, which is a service's: its author has nothing else to see it by.
        """
        if log is not None:
            coroutine = _reporting(coroutine, log)
        self._thread.start().call_soon_threadsafe(self.spawn, coroutine)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run *coroutine* beside everything else, from the loop; an error of it is logged, not lost."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the provider failed", exc_info=task.exception())

    def forget(self) -> None:
        """The loop does not run any more."""
        self._tasks.clear()


async def _reporting(coroutine: Coroutine[Any, Any, Any], log: Log) -> None:
    try:
        await coroutine
    except PorticoError as error:
        log.report("starting the app", error.__cause__ or error)
