"""How much a process holds of bodies that are on their way: of each caller, and in all.

What is compressed becomes a thousand times as long, and a sender can leave out the end: without a bound, some MiB on
the wire would take all memory. What is whole does not count any more; what it becomes is up to who reads it. The first
bytes of each are free, so that ordinary requests pass while somebody fills what there is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from portico.bounded import BoundedShares
from portico.calls.callers import caller_of
from portico.calls.run import THREADS
from portico.errors import UnusableRequest
from portico.types import Scope

if THREADS:
    import threading

IN_ALL = 512 * 2**20
"""Bytes: sixteen of the largest bodies of JSON; of the usual ones thousands."""

OF_A_CALLER = IN_ALL // 4
"""The same, of one caller at one address."""

FREE = 64 * 1024
"""Bytes of each body that count for nobody. How many requests there are at once, the link bounds."""

_RETRY_AFTER = ((b"retry-after", b"2"),)  # seconds: most bodies have come by then


class IncomingBodies(BoundedShares):
    """All that are on their way to the apps of a process, in bytes. May be used from several event loops."""

    def __init__(self, in_all: int = IN_ALL, of_a_caller: int = OF_A_CALLER) -> None:
        super().__init__(in_all, of_a_caller)
        self._lock: AbstractContextManager[object] = threading.Lock() if THREADS else nullcontext()

    def full(self, *, of_a_caller: bool) -> UnusableRequest:
        """429 for the caller's share, 503 for all."""
        if of_a_caller:
            status, text = (
                429,
                f"Your requests on their way hold more than {self.of_a_caller:,} bytes. Send fewer at once.",
            )
        else:
            status, text = 503, "Too many large requests are on their way here. Try again in a moment."
        return UnusableRequest(text, status, code="too_much_held", headers=_RETRY_AFTER)

    def take(self, caller: str, count: int) -> None:
        """See `BoundedShares.take`. Raises `UnusableRequest`."""
        with self._lock:
            super().take(caller, count)

    def give_back(self, caller: str, count: int) -> None:
        """See `BoundedShares.give_back`."""
        with self._lock:
            super().give_back(caller, count)


INCOMING = IncomingBodies()
"""Those of this process: its memory is one."""


class IncomingBody:
    """What is held of the body of the request *scope*, until the ``with`` block ends."""

    __slots__ = ("_caller", "_counted", "_of", "_scope", "_size")

    def __init__(self, scope: Scope, of: IncomingBodies = INCOMING) -> None:
        self._scope = scope
        self._of = of
        self._size = 0
        self._counted = 0
        self._caller = ""

    def grow(self, count: int) -> None:
        """*count* bytes more are held; fewer, if it is negative. Raises `UnusableRequest` (429, 503)."""
        self._size += count
        more = max(self._size - FREE, 0) - self._counted
        if more > 0:
            self._caller = self._caller or caller_of(self._scope)
            self._of.take(self._caller, more)
        elif more < 0:
            self._of.give_back(self._caller, -more)
        self._counted += more

    def __enter__(self) -> IncomingBody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._counted:
            self._of.give_back(self._caller, self._counted)
            self._counted = self._size = 0
