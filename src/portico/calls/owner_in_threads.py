"""Carries whose code runs into the threads that it makes: Python begins each of them in an empty context.

Tasks, callbacks and what asyncio and AnyIO run on threads have the context in which they were begun. A `Thread`, and
what is submitted to a pool, have not: what they printed would be nobody's. They get a copy of the service's own
context. It is not the request's, whose variables no other server would show to a thread.
"""

from __future__ import annotations

import concurrent.futures.thread as pools
import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

from portico.calls.owner import OWNER, Owner

_DOING = "a thread"


def carry() -> None:
    """Begin to carry it, if that is not so already. What is not a service's is as before."""
    if not hasattr(threading.Thread.start, "carries"):
        threading.Thread.start = _carrying(threading.Thread.start, _begin)  # type: ignore[method-assign]
        pool = pools.ThreadPoolExecutor
        pool.submit = _carrying(pool.submit, _submit)  # type: ignore[method-assign]


def _carrying(before: Any, now: Callable[..., Any]) -> Any:
    @functools.wraps(before)
    def call(*arguments: Any, **named: Any) -> Any:
        owner = OWNER.get()
        return before(*arguments, **named) if owner is None else now(before, owner, *arguments, **named)

    call.carries = True  # type: ignore[attr-defined]
    return call


def _begin(before: Any, owner: Owner, thread: threading.Thread) -> None:
    # A pool's thread works for whoever submits something, and so is nobody's.
    if owner.context is not None and getattr(thread, "_target", None) is not pools._worker:
        run = thread.run
        thread.run = lambda: owner.context.copy().run(_run, run, owner, thread)  # type: ignore[method-assign, union-attr]
    before(thread)


def _run(run: Callable[[], None], owner: Owner, thread: threading.Thread) -> None:
    try:
        run()
    except SystemExit:
        raise  # it ends a thread, and is no failure (`threading.excepthook`)
    except BaseException as error:  # noqa: BLE001 - what Python would print where no author looks
        owner.report(_DOING, error)
        if threading.excepthook is not threading.__excepthook__:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


def _submit(before: Any, owner: Owner, pool: Any, function: Any, /, *arguments: Any, **named: Any) -> Any:
    if owner.context is not None:
        function = functools.partial(owner.context.copy().run, function)
    return before(pool, function, *arguments, **named)
