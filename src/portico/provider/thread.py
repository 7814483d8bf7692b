"""Where the provider's event loop lives: a thread of its own, so that apps answer while a cell runs.

Or a loop that runs already (`LoopThread.adopt`): in Pyodide, where there are no threads, the page's or the worker's
own; in a program that is asynchronous itself, such as the command line, the program's.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

from portico.calls.endings import is_failure
from portico.calls.loops import contain, keep_running, report_unhandled
from portico.errors import LinkClosed, LocalError

logger = logging.getLogger(__name__)

T = TypeVar("T")

IN_TAB = sys.platform == "emscripten"
"""Whether this runs in a browser, under Pyodide."""
HAS_THREADS = not IN_TAB
if HAS_THREADS:
    import concurrent.futures
    import threading


class LoopThread:
    """An event loop that runs in a daemon thread from `start` until the process ends, or `stop`; or one adopted.

    Whatever apps raise on it, the loop goes on. Should its thread end all the same, ``on_death`` is told, who waits
    for something on it gets `LinkClosed`, and the next `start` makes another.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.on_death: Callable[[str, bool], None] | None = None
        """Called with why the thread has ended, in plain words, and whether it is only this process that has none: a
        fork has the loop's files, which are its parent's, and no thread. Called on the dying thread, or by `start`."""
        self._thread_id: int | None = None
        self._thread: Any = None
        self._stopping = False
        self._waited_for: set[concurrent.futures.Future[Any]] = set()
        self._starting = threading.Lock() if HAS_THREADS else nullcontext()

    @classmethod
    def adopt(cls, loop: asyncio.AbstractEventLoop) -> LoopThread:
        """One without a thread of its own, for *loop*: to be called on the thread that runs it."""
        adopted = cls()
        adopted._take(loop)
        contain(loop)
        return adopted

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        if HAS_THREADS:
            self._thread_id = threading.get_ident()

    def start(self) -> asyncio.AbstractEventLoop:
        """Start the loop if it does not run, and return it."""
        with self._starting:  # two threads may serve their first app at once
            if self.loop is not None and self._thread is not None and not self._thread.is_alive():
                self._died("this process is a fork of the one that serves: it has no thread for it", forked=True)
            return self.loop or self._start()

    def _start(self) -> asyncio.AbstractEventLoop:
        if not HAS_THREADS:
            self._take(loop := asyncio.get_running_loop())
            return loop
        ready: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, args=(ready,), name="portico", daemon=True)
        self._thread.start()
        return ready.result()

    def _work(self, ready: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        self._thread_id = threading.get_ident()
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                self.loop = loop = runner.get_loop()
                loop.set_exception_handler(report_unhandled)
                loop.call_soon(ready.set_result, loop)
                try:
                    keep_running(loop, lambda: self._stopping)
                except BaseException as error:  # none is expected here; whichever it is, others must hear of it
                    self._died(f"the provider's thread ended: {error!r}")
                    raise
                finally:
                    if self.loop is loop:  # else there is another already
                        self.loop = None
        except BaseException as error:  # as above: this thread ends, and nobody else sees why
            logger.exception("the provider's thread ended; what it served has failed, and can be served again")
            if not ready.done():
                ready.set_exception(LocalError(f"the provider's thread could not start: {error!r}"))

    def _died(self, why: str, forked: bool = False) -> None:
        self.loop = self._thread_id = None
        waited_for, self._waited_for = self._waited_for, set()
        for future in () if forked else tuple(waited_for):
            if not future.done():
                future.set_exception(LinkClosed(why))
        if self.on_death is not None:
            self.on_death(why, forked)

    def stop(self) -> None:
        """Stop the loop and wait for its thread to end. One that was adopted goes on."""
        if self.loop is not None and self._thread is not None:
            self._stopping = True
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5)
            self._thread = None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run *coroutine* on the loop, from another thread. Its future ends with the loop's thread, too."""
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.start())
        except BaseException as error:
            coroutine.close()
            if isinstance(error, RuntimeError):  # the loop was closed in this very moment
                raise LinkClosed(f"the provider's thread has ended: {error}") from error
            raise
        self._waited_for.add(future)
        future.add_done_callback(self._waited_for.discard)
        return future

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run *coroutine* on the loop and wait for its result, where `can_wait`.

        Raises `LocalError` when called on the loop's own thread, where waiting would block everything, and
        `LinkClosed` if that thread ends meanwhile.
        """
        self.start()
        if IN_TAB and self.can_wait():
            from pyodide.ffi import run_sync

            async def boxed() -> list[T]:  # a promise of something awaitable would wait for that, too
                async with asyncio.timeout(timeout):
                    return [await coroutine]

            [outcome] = run_sync(boxed())
            return outcome  # type: ignore[no-any-return]
        if self.is_current():
            coroutine.close()
            raise LocalError("this call would wait for its own thread: await it instead")
        future = self.submit(coroutine)
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

    For apps that hold objects of the kernel's own loop. They do not answer while a cell runs. Whatever they raise, the
    kernel goes on.
    """
    contain(app_loop)

    async def call(scope: Any, receive: Any, send: Any) -> None:
        home = asyncio.get_running_loop()

        async def far_receive() -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(receive(), home))

        async def far_send(message: Any) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send(message), home))

        async def boxed() -> BaseException | None:
            """What the app raised, as a result: raised by a task, it could end the loop."""
            try:
                await app(scope, far_receive, far_send)
            except BaseException as error:
                task = asyncio.current_task()
                if not is_failure(error, stopped=stopped, task=task):
                    raise
                return error
            return None

        stopped = False
        future = asyncio.run_coroutine_threadsafe(boxed(), app_loop)
        try:
            error = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            stopped = True
            raise
        if error is not None:
            raise error

    return call
