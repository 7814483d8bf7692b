"""One thread that runs a synchronous function, and iterates what it returns, for an event loop.

Here: the hand-over of items from that thread to the loop, in batches, with a bound. Not here: what an item means, and
what counts as iterable. In a browser, where there are no threads, this module is never imported.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

from portico.calls.iterating import NOTHING, close_iterator

log = logging.getLogger(__name__)

AHEAD = 64
"""Items that the thread may be ahead of the client: enough that waking the loop costs little an item
(about 20 µs a batch), few enough that a slow client stops the function soon."""


class Pump:
    """Runs *call* on a thread of its own.

    What *call* returns is iterated there if *iterate* turns it into an iterator, and its items come out of `next`;
    otherwise it is left in ``produced``. A generator's return value is left in ``value``.
    """

    def __init__(self, call: Callable[[], Any], iterate: Callable[[Any], Any], ahead: int = AHEAD) -> None:
        self.produced: Any = NOTHING
        self.value: Any = None
        self._call = call
        self._iterate = iterate
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._items: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._finished = False
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._work,), name="portico-call", daemon=True).start()

    async def next(self) -> list[Any] | None:
        """The items that have come, at least one; None after the last. Raises what *call* or its iterator raised."""
        while True:
            with self._changed:
                if self._items:
                    items, self._items = self._items, []
                    self._changed.notify()
                    return items
                if self._finished:
                    break
                waiter = self._waiter = self._loop.create_future()
            await waiter
        if self._error is not None:
            raise self._error
        return None

    def close(self) -> None:
        """Have the iterator closed, on its thread, as soon as that thread has left it. Returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        try:
            produced = self._call()
            iterator = self._iterate(produced)
            if iterator is None:
                self.produced = produced
            else:
                try:
                    self._pull(iterator)
                finally:
                    close_iterator(iterator, produced)
        except BaseException as error:
            if self._closed and not isinstance(error, asyncio.CancelledError):  # which is the end that we asked for
                log.warning("A function raised while it was being closed", exc_info=error)
            self._error = error
        with self._changed:
            self._finished = True
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._wake(waiter)

    def _pull(self, iterator: Any) -> None:
        changed = self._changed
        while not self._closed:
            try:
                item = next(iterator)
            except StopIteration as end:
                self.value = end.value
                return
            with changed:
                while len(self._items) >= self._ahead and not self._closed:
                    changed.wait()
                self._items.append(item)
                waiter, self._waiter = self._waiter, None
            if waiter is not None:
                self._wake(waiter)

    def _wake(self, waiter: asyncio.Future[None]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, waiter)
        except RuntimeError:  # the loop is closed, so nobody waits any more
            self._closed = True


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
