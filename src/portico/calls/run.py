"""Runs a function for one request, whatever its shape, and hands each item that it gives to a sink.

Here: which loop or thread it runs on, and that what it returned is iterated and closed. Not here: what counts as
iterable (`iterating`), which arguments it gets, and what an item means: those are for the room whose function it is.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Protocol

from portico.calls.endings import UNUSUAL, raise_failure
from portico.calls.iterating import NOTHING, TURN, close_async, close_iterator, iterator_of

THREADS = sys.platform != "emscripten"
"""Whether synchronous functions get a thread. There are none in a browser, so there they run inline."""

Frames = bytes | list[bytes] | None
"""What is to be written for one item: nothing, a frame, or several."""

Iterate = Callable[[Any], Any]
"""Gives an iterator over what a function returned; None where that is one single item. See `iterator_of`."""


Around = Callable[[], AbstractContextManager[object]]
"""Gives, for one call, what is entered around it: in the task of the call, whose context its thread has a copy of."""


class Sink(Protocol):
    """Takes the items of one run of a function."""

    @property
    def feed(self) -> Callable[[Any], Frames]:
        """Understands one item; returns what is to be written for it. If it raises, the generator is closed."""

    @property
    def write(self) -> Callable[[bytes], Awaitable[None]]:
        """Writes one frame. Waiting here is the generator's backpressure. It yields to the loop every `TURN`."""

    @property
    def done(self) -> bool:
        """True once nothing more is wanted, as after a stop sequence. Checked where `feed` gives no single frame."""

    def final(self, value: Any) -> Frames:
        """Understands a generator's return value."""


class Items:
    """A sink that keeps what a function gives, a generator's return value last: for answers that are made whole."""

    done: bool = False

    def __init__(self) -> None:
        self.items: list[Any] = []

    def feed(self, item: Any) -> Frames:
        self.items.append(item)
        return None

    def final(self, value: Any) -> Frames:
        self.items.append(value)
        return None

    async def write(self, frame: bytes) -> None:
        raise AssertionError("there is nothing to write: `feed` gives no frames")


class Cancel:
    """What a function's ``cancel`` parameter gets: tells whether the answer is still wanted.

    ``is_set()`` may be called from any thread; ``await wait()`` from the event loop.
    """

    __slots__ = ("_listeners", "_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] = []
        self._listeners: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        """True once the client has left or nothing more is wanted."""
        return self._set

    __bool__ = is_set

    async def wait(self) -> None:
        """Return once `is_set` is true."""
        if not self._set:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def set(self) -> None:
        """Say that the answer is not wanted any more. Called by the server, on its event loop."""
        self._set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        for listener in [*self._listeners]:
            listener()

    def listen(self, listener: Callable[[], object]) -> None:
        """Have *listener* called, at least once, when this is set; at once if it is. It must not wait, nor raise."""
        self._listeners.append(listener)  # first, since `set` may be called meanwhile, on another thread
        if self._set:
            listener()

    def ignore(self, listener: Callable[[], object]) -> None:
        """Call *listener* no more."""
        self._listeners.remove(listener)


LEFT: ContextVar[Cancel | None] = ContextVar("portico_call_left", default=None)
"""Set once nobody waits any more for the call that runs here, which has not ended by itself.

For code below the function, as a library that it calls: on the thread or the task of the call, and on those that get a
copy of its context. Unlike a function's own ``cancel``, it is not set when the call ends well: what the function has
started in the background goes on.
"""


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Whether *function* is a coroutine or an async generator function, also behind a partial or ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return True
    if inspect.isroutine(function) or inspect.isclass(function):
        return False
    call = type(function).__call__
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


async def drive(
    call: Callable[[], Any],
    on_loop: bool,
    sink: Sink,
    *,
    threads: bool = THREADS,
    iterate: Iterate = iterator_of,
    around: Around | None = None,
) -> None:
    """Call *call* once and hand to *sink* each item of what it returns.

    Accepted are a value, an awaitable of anything accepted, an async iterator or generator, and whatever *iterate*
    makes an iterator of; where that gives None, the value is the one item. *on_loop* is what `runs_on_loop` says of
    the function. A synchronous one runs on a thread unless *threads* is false. What *around* gives is around all of it.
    However this ends, the generator is closed.

    Raises what the function and the sink raise. A CancelledError of the function's own, where nobody has cancelled
    the task, becomes a RuntimeError.
    """
    task = asyncio.current_task()
    outer = LEFT.get()
    left = Cancel()
    LEFT.set(left)
    ended = False
    try:
        if around is None:
            await _drive(call, on_loop, sink, threads, iterate)
        else:
            with around():
                await _drive(call, on_loop, sink, threads, iterate)
        ended = not sink.done
    except UNUSUAL as error:
        raise_failure(error, task)
    finally:
        LEFT.set(outer)  # and no reset of a token: a coroutine that is dropped may end in another context
        if not ended:
            left.set()


async def _drive(call: Callable[[], Any], on_loop: bool, sink: Sink, threads: bool, iterate: Iterate) -> None:
    if on_loop or not threads:
        produced = call()
    else:
        produced = await _pump(call, sink, iterate)
        if produced is NOTHING:
            return
    while inspect.isawaitable(produced):
        produced = await produced
    if hasattr(type(produced), "__aiter__"):
        await _iterate_async(produced, sink)
    elif (iterator := iterate(produced)) is None:
        await _take(sink, produced)
    elif threads:
        await _pump(lambda: produced, sink, lambda _: iterator)
    else:
        await _iterate_inline(iterator, produced, sink)


async def _iterate_async(produced: Any, sink: Sink) -> None:
    iterator: AsyncIterator[Any] = aiter(produced)
    feed, write = sink.feed, sink.write
    turned = time.monotonic()
    try:
        async for item in iterator:
            frames = feed(item)
            if frames.__class__ is bytes:
                await write(frames)
                continue
            if frames:
                await _write_all(write, frames)
            if sink.done:
                break
            if time.monotonic() - turned > TURN:
                await asyncio.sleep(0)
                turned = time.monotonic()
    finally:
        await close_async(iterator)
        if iterator is not produced:
            await close_async(produced)


async def _pump(call: Callable[[], Any], sink: Sink, iterate: Iterate) -> Any:
    """Run *call* on a thread. Returns what it returned; or `NOTHING`, if that was iterated and its items fed."""
    from portico.calls.pump import Pump  # not where there are no threads

    pump = Pump(call, iterate)
    feed, write = sink.feed, sink.write
    try:
        while not sink.done and (items := await pump.next()) is not None:
            turned = time.monotonic()
            for item in items:
                frames = feed(item)
                if frames.__class__ is bytes:
                    await write(frames)
                    continue
                if frames:
                    await _write_all(write, frames)
                if sink.done:
                    break
                if time.monotonic() - turned > TURN:
                    await asyncio.sleep(0)
                    turned = time.monotonic()
        if pump.value is not None and not sink.done:
            await _write_all(write, sink.final(pump.value))
        return pump.produced
    finally:
        pump.close()


async def _iterate_inline(iterator: Any, produced: Any, sink: Sink) -> None:
    turned = time.monotonic()
    try:
        while not sink.done:
            try:
                item = next(iterator)
            except StopIteration as end:
                if end.value is not None:
                    await _write_all(sink.write, sink.final(end.value))
                return
            await _take(sink, item)
            if time.monotonic() - turned > TURN:  # nothing else gives the loop its turn, and news of a client's leaving
                await asyncio.sleep(0)
                turned = time.monotonic()
    finally:
        close_iterator(iterator, produced)


async def _take(sink: Sink, item: Any) -> None:
    await _write_all(sink.write, sink.feed(item))


async def _write_all(write: Callable[[bytes], Awaitable[None]], frames: Frames) -> None:
    if isinstance(frames, bytes):
        await write(frames)
    elif frames:
        for frame in frames:
            await write(frame)
