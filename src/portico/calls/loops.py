"""Keeps an event loop going whatever the code on it raises.

asyncio lets `SystemExit` and `KeyboardInterrupt` out of its loop wherever they are raised: in a task that an app has
made, in a callback. A call's own task is guarded where it is called; here is what covers the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from portico.calls.endings import is_from_the_keyboard
from portico.calls.owner import OWNER, Owner

logger = logging.getLogger(__name__)

T = TypeVar("T")

_DOING = "a task or a callback"


def keep_running(loop: asyncio.AbstractEventLoop, ended: Callable[[], bool]) -> None:
    """Run *loop* until it is stopped and *ended* is so.

    A loop that was left by an exception goes on where it was: what was ready to run still is.
    """
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            _report(error, owner_of(error))
        if ended():
            return


def run_to_the_end(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[T], leaves: Callable[[BaseException], bool]
) -> T:
    """Run *loop*, in the main thread, until *task* is done; returns its result.

    What else on the loop raises `SystemExit` or `KeyboardInterrupt` is reported, unless *leaves* says that it is to
    end the program.
    """
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done() or leaves(error) or (isinstance(error, KeyboardInterrupt) and is_from_the_keyboard()):
                raise
            _report(error, owner_of(error))


def contain(loop: asyncio.AbstractEventLoop) -> None:
    """Keep *loop*, which others run and which runs already, from being ended by a service's code.

    What nobody's service has raised goes out of the loop as before. Done by the step that each asyncio loop in Python
    is made of: it is looked up at every turn, and there is no public place. A loop without it (uvloop) stays as it is.
    """
    step: Callable[[], None] | None = getattr(loop, "_run_once", None)
    if step is None or getattr(step, "contains", False):
        return

    def contained() -> None:
        try:
            step()
        except (SystemExit, KeyboardInterrupt) as error:
            owner = owner_of(error)
            if owner is None or (isinstance(error, KeyboardInterrupt) and is_from_the_keyboard()):
                raise
            _report(error, owner)

    contained.contains = True  # type: ignore[attr-defined]
    loop._run_once = contained  # type: ignore[attr-defined]


def report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler of a loop: what a service's task or callback raised, and nobody took, goes to its owner.

    A loop says whose it is by the context of a callback; since Python 3.12, of a task too. A task that is dropped may
    be collected on any thread, where nothing may be waited for: in a kernel the one that shows what is logged.
    """
    if not _is_running_here(loop):
        try:
            loop.call_soon_threadsafe(report_unhandled, loop, context)
        except RuntimeError:  # the loop is closed
            loop.default_exception_handler(context)
        return
    error, handle = context.get("exception"), context.get("handle")
    owner = OWNER.get() if handle is None else handle._context.get(OWNER)
    if owner is not None and error is not None:
        owner.report(_DOING, error)
    else:
        loop.default_exception_handler(context)


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def owner_of(error: BaseException) -> Owner | None:
    """Whose code *error* came from, by the context of the loop's callback that it has left."""
    trace = error.__traceback__
    while trace is not None:
        handle: Any = trace.tb_frame.f_locals.get("self")
        if isinstance(handle, asyncio.Handle):
            return handle._context.get(OWNER)  # type: ignore[attr-defined, no-any-return]
        trace = trace.tb_next
    return None


def _report(error: BaseException, owner: Owner | None) -> None:
    if owner is not None:
        owner.report(_DOING, error)
    else:
        logger.error("%s on the event loop raised %r", _DOING, error, exc_info=error)
