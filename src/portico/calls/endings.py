"""What an exception that left user code means. Every place that calls user code asks here, and nowhere else.

- `asyncio.CancelledError`, after we asked the call to stop: the end that we asked for.
- `asyncio.CancelledError` otherwise: the code failed. What it waited for was cancelled, or it cancelled itself.
- `KeyboardInterrupt`: the code failed. But where Ctrl-C is Python's own, in the main thread, it is the user's.
- `GeneratorExit` while the code's task does not run: the interpreter drops the coroutine.
- Anything else, `SystemExit` among it: the code failed.

What is the user's or the interpreter's goes on, through whatever called the code.

Whether we asked is a state that the caller keeps; it is never guessed from the exception.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, NoReturn

HAS_THREADS = sys.platform != "emscripten"
if HAS_THREADS:
    import signal
    import threading


def is_failure(error: BaseException, *, stopped: bool, task: asyncio.Task[Any] | None = None) -> bool:
    """Whether *error* is a failure of the code that it left, to be shown to its author.

    *stopped* says whether we have asked the call to stop, *task* is the task that it runs in. False means that the
    call has ended as we asked. Raises *error* again where it is neither the code's nor ours.
    """
    if isinstance(error, Exception):
        return True
    if isinstance(error, asyncio.CancelledError):
        return not stopped
    if isinstance(error, GeneratorExit):
        if task is not None and asyncio.current_task(task.get_loop()) is not task:
            raise error
    elif isinstance(error, KeyboardInterrupt) and is_from_the_keyboard():
        raise error
    return True


def is_from_the_keyboard() -> bool:
    """Whether a KeyboardInterrupt, here and now, can be Ctrl-C (or a kernel's interrupt) and not the code's own.

    Python raises it in the main thread alone, and only while SIGINT is its own to handle. In a browser tab it only
    ever ends the code that runs, so there it counts as that code's.
    """
    return (
        HAS_THREADS
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


UNUSUAL = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What `raise_failure` is for. `except Exception` does not catch them, and each of them may be no failure."""


def raise_failure(error: BaseException, task: asyncio.Task[Any] | None) -> NoReturn:
    """Raise *error*, one of `UNUSUAL`, again if it is not the failure of the code that it left; else an Exception.

    For code that runs under any server: *task*, in which it runs, is asked whether it was told to stop. The
    RuntimeError that is raised has *error* as its cause.
    """
    if not is_failure(error, stopped=task is not None and task.cancelling() > 0, task=task):
        raise error
    raise as_exception(error) from error


def as_exception(error: BaseException) -> RuntimeError:
    """An Exception that says what *error*, a failure and one of `UNUSUAL`, was; with it as its cause."""
    if isinstance(error, asyncio.CancelledError):
        failure = RuntimeError("the code was cancelled by nobody but itself, or something that it waited for was")
    else:
        failure = RuntimeError(f"the code raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
