"""`on_thread`: one blocking step of a deploy, off the event loop.

Not `asyncio.to_thread`: its threads are few, shared with all else, and keep the process from ending while a ``setup``
hangs. In a browser tab, where there are no threads, the step is done at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from portico.calls.run import THREADS

T = TypeVar("T")


async def on_thread(act: Callable[[], T]) -> T:
    """What *act* gives, in a copy of this context. Cancelled, it leaves *act* to its end, and drops what that gives.

    *act* raises no `StopIteration`, and of what is not an `Exception` nothing that an event loop acts on.
    """
    if not THREADS:
        return act()
    import threading

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def run() -> None:
        try:
            given = context.run(act)
        except BaseException as error:  # noqa: BLE001 -- whoever awaits this gets it
            _tell(loop, partial(_fail, future, error))
        else:
            _tell(loop, partial(_end, future, given))

    threading.Thread(target=run, name="portico-deploy", daemon=True).start()
    return await future


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _end(future: asyncio.Future[T], given: T) -> None:
    if not future.done():
        future.set_result(given)


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:  # the loop has ended, and nobody waits
        pass
