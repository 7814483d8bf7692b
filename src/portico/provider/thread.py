"""Where the provider's event loop lives: a thread of its own, so that apps answer while a cell runs.

Or a loop that runs already (`LoopThread.adopt`): in Pyodide, where there are no threads, the page's or the worker's
own; in a program that is asynchronous itself, such as the command line, the program's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

from portico.errors import LocalError

T = TypeVar("T")

IN_TAB = sys.platform == "emscripten"
"""Whether this runs in a browser, under Pyodide."""
HAS_THREADS = not IN_TAB
if HAS_THREADS:
    import threading


class LoopThread:
    """An event loop that runs in a daemon thread from `start` until the process ends, or `stop`; or one adopted."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread_id: int | None = None
        self._thread: Any = None
        self._starting = threading.Lock() if HAS_THREADS else nullcontext()

    @classmethod
    def adopt(cls, loop: asyncio.AbstractEventLoop) -> LoopThread:
        """One without a thread of its own, for *loop*: to be called on the thread that runs it."""
        adopted = cls()
        adopted._take(loop)
        return adopted

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        if HAS_THREADS:
            self._thread_id = threading.get_ident()

    def start(self) -> asyncio.AbstractEventLoop:
        """Start the loop if it does not run, and return it."""
        with self._starting:  # two threads may serve their first app at once
            return self.loop or self._start()

    def _start(self) -> asyncio.AbstractEventLoop:
        if not HAS_THREADS:
            self._take(loop := asyncio.get_running_loop())
            return loop
        ready = threading.Event()

        def run() -> None:
            self._thread_id = threading.get_ident()
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                self.loop = runner.get_loop()
                self.loop.call_soon(ready.set)
                try:
                    self.loop.run_forever()
                finally:
                    self.loop = None

        self._thread = threading.Thread(target=run, name="portico", daemon=True)
        self._thread.start()
        ready.wait()
        assert self.loop is not None
        return self.loop

    def stop(self) -> None:
        """Stop the loop and wait for its thread to end. One that was adopted goes on."""
        if self.loop is not None and self._thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5)
            self._thread = None

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run *coroutine* on the loop and wait for its result, where `can_wait`.

        Raises `LocalError` when called on the loop's own thread, where waiting would block everything.
        """
        loop = self.start()
        if IN_TAB and self.can_wait():
            from pyodide.ffi import run_sync

            async def boxed() -> list[T]:  # a promise of something awaitable would wait for that, too
                return [await asyncio.wait_for(coroutine, timeout)]

            [outcome] = run_sync(boxed())
            return outcome  # type: ignore[no-any-return]
        if self.is_current():
            coroutine.close()
            raise LocalError("this call would wait for its own thread: await it instead")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(timeout)
        except BaseException:  # an interrupted cell, above all: what it waited for must not go on behind its back
            future.cancel()
            raise

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call *function* on the loop, soon; from any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(function, *args)

    def can_wait(self) -> bool:
        """Whether `run` may be called here: on another thread; in a tab, where the browser can switch stacks (JSPI)."""
        if HAS_THREADS:
            return not self.is_current()
        from pyodide.ffi import can_run_sync

        return bool(can_run_sync())

    def is_current(self) -> bool:
        """Whether the caller is on the loop's thread."""
        if not HAS_THREADS:
            return True
        return self._thread_id == threading.get_ident()


def _new_loop() -> asyncio.AbstractEventLoop:
    # Windows: the selector loop, as Jupyter itself uses, because pyzmq and tornado need its add_reader in kernels.
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop()
    return asyncio.new_event_loop()


def on_loop(app: Any, app_loop: asyncio.AbstractEventLoop) -> Any:
    """Wrap an ASGI *app* so that it runs on *app_loop*, another thread's, while its stream stays on the caller's.

    For apps that hold objects of the kernel's own loop. They do not answer while a cell runs.
    """

    async def call(scope: Any, receive: Any, send: Any) -> None:
        home = asyncio.get_running_loop()

        async def far_receive() -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(receive(), home))

        async def far_send(message: Any) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send(message), home))

        future = asyncio.run_coroutine_threadsafe(app(scope, far_receive, far_send), app_loop)
        await asyncio.wrap_future(future)

    return call
