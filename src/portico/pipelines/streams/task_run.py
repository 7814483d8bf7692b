"""One run of a pipeline in a task of an event loop, and the chunks that come from there, or from threads below it.

Here: the task, the bounded hand-over, and its end. Not here: what becomes of a chunk (`async_streaming`), and runs on a
thread (`thread_run`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from typing import Any

from portico.calls.endings import as_exception
from portico.calls.run import LEFT, THREADS, Cancel
from portico.pipelines.streams.pipeline_kinds import StreamedRun, streams_async
from portico.pipelines.streams.stopping import RunStopped
from portico.pipelines.streams.streaming_components import Callback, serializable, serializable_async

if THREADS:
    import threading

log = logging.getLogger(__name__)

AHEAD = 256
"""Chunks that a pipeline may be ahead of who reads them: as in `thread_run`."""

END = 1.0
"""Seconds to wait, when the stream is closed, for the task to end: for what components do when they are cancelled."""

_LOOP_CHECK = 1.0  # seconds between looks of a thread that waits for room whether its event loop is there still

_shielded: set[asyncio.Task[Any]] = set()
"""Runs that go on after their stream: the event loop itself keeps no task alive."""


class TaskRun:
    """Runs a pipeline in a task of its own. Its chunks are in `pieces`, from which only the loop's thread takes."""

    def __init__(self, streamed: StreamedRun, shield: bool) -> None:
        self.pieces: deque[Any] = deque()
        self.left = Cancel()
        self._shield = shield
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._waking = False
        self._room: deque[asyncio.Future[None]] = deque()
        self._changed = threading.Condition() if THREADS else None
        self._threads_wait = 0
        self._call = None if shield else LEFT.get()
        context = contextvars.copy_context()
        context.run(LEFT.set, self.left)
        self.task = self._loop.create_task(self._run(streamed), context=context)
        self.task.add_done_callback(lambda _: self._wake())
        if self._call is not None:
            self._call.listen(self.left.set)

    async def _run(self, streamed: StreamedRun) -> Any:
        if not streamed.has_async:
            return await asyncio.to_thread(streamed.run, serializable(self._put_from_thread))
        return await streamed.run_async(self._callback_for)

    def _callback_for(self, component: Any) -> Callback:
        return serializable_async(self._put) if streams_async(component) else serializable(self._put_from_thread)

    def take(self) -> Any:
        """The next of `pieces`."""
        piece = self.pieces.popleft()
        if self._room:
            _resolve(self._room.popleft())
        if self._threads_wait:
            self._wake_threads()
        return piece

    async def wait(self, timeout: float | None) -> None:
        """Wait for a piece, or the end of the task; or *timeout* seconds."""
        if self.pieces or self.task.done():
            return
        waiter = self._waiter = self._loop.create_future()
        if timeout is None:
            await waiter
        else:
            await asyncio.wait((waiter,), timeout=timeout)

    def result(self) -> Any:
        """What the run, which has ended, returned. Raises what it raised."""
        try:
            return self.task.result()
        except asyncio.CancelledError as error:
            if self.left.is_set():
                raise
            raise as_exception(error) from error  # nobody has cancelled it but itself

    async def close(self) -> None:
        """End the run, unless it is shielded, and wait a moment for that."""
        self._closed = True
        self.pieces.clear()
        if self._call is not None:
            self._call.ignore(self.left.set)
        if not self._shield:
            self.left.set()
        while self._room:
            _resolve(self._room.popleft())
        self._wake_threads()
        if self.task.done():
            if not self.task.cancelled():
                self.task.exception()  # it was raised by `result`, or nobody wants it
            return
        _shielded.add(self.task)
        self.task.add_done_callback(self._ended_unheard)
        if not self._shield:
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=END)

    def _ended_unheard(self, task: asyncio.Task[Any]) -> None:
        _shielded.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("A pipeline failed after its stream was closed", exc_info=error)

    async def _put(self, chunk: Any) -> None:
        """The callback of components on the loop."""
        while len(self.pieces) >= AHEAD and not self._closed:
            room = self._loop.create_future()
            self._room.append(room)
            await room
        if self._is_wanted():
            self.pieces.append(chunk)
            self._wake()

    def _put_from_thread(self, chunk: Any) -> None:
        """The callback of components on a thread. Where one calls it on the loop all the same, it does not wait."""
        if _running_loop() is self._loop:
            if self._is_wanted():
                self.pieces.append(chunk)
                self._wake()
            return
        if len(self.pieces) >= AHEAD:
            self._wait_for_room()
        if self._is_wanted():
            self.pieces.append(chunk)
            if not self._waking:
                self._waking = True
                try:
                    self._loop.call_soon_threadsafe(self._wake)
                except RuntimeError as error:
                    raise RunStopped("the event loop of this run has ended") from error

    def _wait_for_room(self) -> None:
        assert self._changed is not None  # this is on a thread
        with self._changed:
            self._threads_wait += 1
            try:
                while len(self.pieces) >= AHEAD and not self._closed and not self._loop.is_closed():
                    self._changed.wait(_LOOP_CHECK)
            finally:
                self._threads_wait -= 1

    def _wake_threads(self) -> None:
        if self._changed is not None:
            with self._changed:
                self._changed.notify_all()

    def _is_wanted(self) -> bool:
        """Whether somebody hears the chunks. Raises `RunStopped` if the run is not wanted either."""
        if self.left.is_set():
            raise RunStopped("nobody waits for this run any more")
        return not self._closed

    def _wake(self) -> None:
        self._waking = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            _resolve(waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
