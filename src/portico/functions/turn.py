"""One call of a synchronous function, on its thread: it has its turn in the line until its code has really ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from portico.calls.endings import UNUSUAL, as_exception
from portico.calls.iterating import close_iterator
from portico.calls.run import LEFT, THREADS, Cancel
from portico.functions.line import CallLine
from portico.functions.results import iterator_of

if THREADS:
    import threading


class ThreadTurn:
    """One call on a thread, which may go on after its caller has left: it has its turn in the line until it ends."""

    def __init__(self, call: Callable[[], Any], cancel: Cancel, line: CallLine) -> None:
        self._call = call
        self._cancel = cancel
        self._line = line
        self._lock = threading.Lock()
        self._runs = False
        self._is_over = False

    def run(self) -> Any:
        """Call the function, on its thread. Not if its caller has left already."""
        with self._lock:
            if self._is_over:
                return None
            self._runs = True
        held = False
        try:
            produced = self._call()
            if iterator_of(produced) is not None:
                held = True
                return Held(produced, self)
        except UNUSUAL as error:
            return self.ended(error)
        else:
            return produced
        finally:
            if not held:
                self.leave()

    def ended(self, error: BaseException) -> None:
        """What *error*, one of `UNUSUAL`, means on a thread: the end that we asked for, or a failure."""
        left = LEFT.get()  # which is set before `cancel` is
        stopped = self._cancel.is_set() or (left is not None and left.is_set())
        if not (isinstance(error, asyncio.CancelledError) and stopped):
            raise as_exception(error) from error

    def leave(self) -> None:
        """The thread has left the function's code."""
        with self._lock:
            self._runs = False
            over = self._is_over
        if over and self._line.most is None:
            self._line.count_left(-1)
        elif over:
            self._line.leave()

    def over(self) -> None:
        """Nobody waits for the result any more, or it has come."""
        with self._lock:
            self._is_over = True
            if self._runs and self._line.most is None:
                self._line.count_left(1)  # before the thread can end
            runs = self._runs
        if not runs:
            self._line.leave()


class Held:
    """An iterator that a function gave on its thread, where it is iterated and closed."""

    __slots__ = ("_iterator", "_turn")

    def __init__(self, iterator: Any, turn: ThreadTurn) -> None:
        self._iterator = iterator
        self._turn = turn

    def __next__(self) -> Any:
        try:
            return next(self._iterator)
        except UNUSUAL as error:
            self._turn.ended(error)
            raise StopIteration from None

    def close(self) -> None:
        try:
            close_iterator(self._iterator, self._iterator)
        finally:
            self._turn.leave()
