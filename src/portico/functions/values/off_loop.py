"""Reads and writes large values off the event loop, a few at a time: each may take seconds, and a GiB of memory.

In a browser tab, where there are no threads, it is done at once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from portico.calls.endings import as_exception
from portico.calls.run import THREADS

if TYPE_CHECKING:
    from portico.calls.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")

AT_A_TIME: Final = 4
"""Values that are read or written at a time in a process. More wait, those of all services in one line."""


async def off_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What *work* returns, or raises; a SystemExit and its kind as a RuntimeError, so that it ends no loop.

    Whoever is cancelled leaves the line. Work that has begun then goes on for nobody, and another thread takes the
    place of its own, up to as many as there are.
    """
    if not THREADS:
        return work(*args, **kwargs)
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def run() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = context.run(work, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - it goes to who waits
            # asyncio lets the others end the loop, and takes no StopIteration
            failure = (
                error if isinstance(error, Exception) and not isinstance(error, StopIteration) else as_exception(error)
            )
        try:
            loop.call_soon_threadsafe(_settle, outcome, result, failure)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    pool = _pool()
    job = pool.submit(run)
    try:
        return await outcome
    finally:
        if outcome.cancelled() and not pool.leave(job):
            pool.give_up(job)  # code of a result's own may never come back


@functools.cache
def _pool() -> Workers:
    from portico.calls.workers import Workers  # not where there are no threads

    return Workers(AT_A_TIME, "portico-values")


def _settle(outcome: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if outcome.done():
        return
    if failure is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(failure)
