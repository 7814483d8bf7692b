"""Runs a model function, whatever its shape, and hands each item that it gives to a sink.

Here: which loop or thread a function runs on, iterating and closing what it returned. Not here: what arguments it
gets (`injection`) and what an item means (`shapes`).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, Protocol

from portico.calls.endings import UNUSUAL, raise_failure

THREADS = sys.platform != "emscripten"
"""Whether synchronous functions get a thread. There are none in a browser, so there they run inline."""

TURN = 0.006
"""Seconds for which a model that never awaits may keep the event loop to itself.

More than CPython's switch interval of 5 ms, or the process's other threads starve: a loop's turn lets the interpreter
lock go for an instant, too short for them to take it, but which starts anew the 5 ms after which they insist on it.
"""

Frames = bytes | list[bytes] | None


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


class Cancel:
    """What a function's ``cancel`` parameter gets: tells whether the answer is still wanted.

    ``is_set()`` may be called from any thread; ``await wait()`` from the event loop.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] = []

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


async def drive(call: Callable[[], Any], on_loop: bool, sink: Sink, *, threads: bool = THREADS) -> None:
    """Call *call* once and hand to *sink* each item of what it returns.

    Accepted are a value, an awaitable of anything accepted, and any iterator, iterable, async iterator or generator.
    A synchronous one runs on a thread unless *threads* is false. However this ends, the generator is closed. A
    CancelledError of the function's own, where nobody has cancelled the task, becomes a RuntimeError.
    """
    task = asyncio.current_task()
    try:
        await _drive(call, on_loop, sink, threads)
    except UNUSUAL as error:
        raise_failure(error, task)


async def _drive(call: Callable[[], Any], on_loop: bool, sink: Sink, threads: bool) -> None:
    if on_loop or not threads:
        produced = call()
    else:
        produced = await _pump(call, sink)
    while inspect.isawaitable(produced):
        produced = await produced
    if hasattr(type(produced), "__aiter__"):
        await _iterate_async(produced, sink)
    elif iterator_of(produced) is None:
        await _take(sink, produced)
    elif threads:
        await _pump(lambda: produced, sink)
    else:
        await _iterate_inline(produced, sink)


def iterator_of(produced: Any) -> Any:
    """An iterator over *produced*, or None if it is one single item (a text, a dict, an SDK's object, a dataclass)."""
    cls = type(produced)  # where Python looks: a class has the methods of its instances, and some objects any name
    if hasattr(cls, "__next__"):
        return produced
    if isinstance(produced, str | bytes | bytearray | memoryview | Mapping):
        return None
    if hasattr(produced, "model_dump") or is_dataclass(produced) or not hasattr(cls, "__iter__"):
        return None
    return iter(produced)


def close_iterator(iterator: Any, produced: Any) -> None:
    """Close an iterator, and what it was made from: an SDK's stream holds its connection itself."""
    for thing in (iterator, produced) if iterator is not produced else (iterator,):
        close = getattr(thing, "close", None)
        if close is not None:
            close()


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
        await _close_async(iterator)
        if iterator is not produced:
            await _close_async(produced)


async def _close_async(thing: Any) -> None:
    close = getattr(thing, "aclose", None) or getattr(thing, "close", None)
    if close is not None:
        closing = close()
        if inspect.isawaitable(closing):
            await closing


async def _pump(call: Callable[[], Any], sink: Sink) -> Any:
    """Run *call* on a thread. Returns what it returned if that is no iterator; then nothing was fed yet."""
    from portico.calls.pump import NOTHING, Pump

    pump = Pump(call, iterator_of)
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
        if pump.produced is not NOTHING:
            return pump.produced
        if pump.value is not None and not sink.done:
            await _write_all(write, sink.final(pump.value))
    finally:
        pump.close()
    return None


async def _iterate_inline(produced: Any, sink: Sink) -> None:
    iterator = iterator_of(produced)
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
