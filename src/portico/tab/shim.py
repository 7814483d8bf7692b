"""Python without threads, made to do what apps take for granted. For emscripten; `install` does nothing elsewhere.

Libraries run synchronous code (FastAPI's plain ``def`` endpoints and dependencies, Starlette's FileResponse and
StaticFiles) on anyio's worker threads. A tab has none, so such code runs inline, on the loop. While it computes,
nothing else runs. Where the browser can switch stacks (JSPI), code that waits in Python lets the others run meanwhile:
``time.sleep``, `pyodide.ffi.run_sync`, and what is built on them; there synchronous endpoints overlap. Without JSPI
they run one after another.

JSON is read with a bound on its depth: at some thousands of levels the parser overflows the browser's own stack, which
is smaller than Python believes, and that ends the interpreter. A visitor must not be able to do that.
"""

from __future__ import annotations

import json.decoder
import re
import sys
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

MAX_DEPTH = 1000
"""Levels of JSON that are read, as Python's own recursion limit has it. Chromium's and Node's stacks take 4000."""

_installed = False


def install() -> None:
    """Make the changes, once in a process. Nothing happens where there are threads."""
    global _installed
    if _installed or sys.platform != "emscripten":
        return
    _installed = True
    bound_json()
    inline_threads()


def can_wait() -> bool:
    """Whether Python can wait for JavaScript here and now, letting others run (JSPI)."""
    try:
        from pyodide.ffi import can_run_sync
    except ImportError:
        return False
    return bool(can_run_sync())


def inline_threads() -> None:
    """Let `anyio.to_thread.run_sync` call its function inline, and `anyio.from_thread.run` wait where that can be."""
    import anyio.from_thread
    import anyio.lowlevel
    import anyio.to_thread

    async def run_sync(
        func: Callable[..., T],
        *args: Any,
        abandon_on_cancel: bool = False,
        cancellable: bool | None = None,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> T:
        # As a thread would: others have their turn first, cancelling is heard, and context variables stay its own.
        await anyio.lowlevel.checkpoint()
        if limiter is None and can_wait():
            limiter = anyio.to_thread.current_default_thread_limiter()  # each waiting call holds a stack
        if limiter is None:
            return copy_context().run(func, *args)
        async with limiter:
            return copy_context().run(func, *args)

    def run(func: Callable[..., Awaitable[T]], *args: Any, token: Any = None) -> T:
        if not can_wait():
            raise RuntimeError("a browser without JSPI cannot wait for a coroutine from within synchronous code")
        from pyodide.ffi import run_sync as wait

        waited: T = wait(func(*args))
        return waited

    def run_sync_from_thread(func: Callable[..., T], *args: Any, token: Any = None) -> T:
        return func(*args)

    # setattr: their types name each argument's type, which is not ours to repeat
    for module, name, inline in (
        (anyio.to_thread, "run_sync", run_sync),
        (anyio.from_thread, "run", run),
        (anyio.from_thread, "run_sync", run_sync_from_thread),
    ):
        setattr(module, name, inline)


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def depth_of(text: str) -> int:
    """How deep the arrays and objects of a JSON text are nested, at most; no more is counted than `MAX_DEPTH` + 1."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        sign = found[0]
        if sign in "[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > MAX_DEPTH:
                    break
        elif sign in "]}":
            depth -= 1
    return deepest


def bound_json() -> None:
    """Let `json.loads` raise RecursionError for what is nested too deeply, as it does where there is stack enough."""
    raw_decode = json.decoder.JSONDecoder.raw_decode

    @wraps(raw_decode)
    def bounded(self: json.decoder.JSONDecoder, s: str, idx: int = 0) -> tuple[Any, int]:
        if s.count("[") + s.count("{") > MAX_DEPTH and depth_of(s) > MAX_DEPTH:
            raise RecursionError(f"JSON that is nested more than {MAX_DEPTH} levels deep")
        return raw_decode(self, s, idx)

    json.decoder.JSONDecoder.raw_decode = bounded  # type: ignore[method-assign]
