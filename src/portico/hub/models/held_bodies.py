"""How much of requests' bodies a hub holds while it looks for their model: of each request, each caller, and in all.

The first bytes of each body are free, so that ordinary requests pass while somebody fills what there is. Who is refused
may come again: what is held is held for as long as a body takes to come, and to be taken by its app.
"""

from __future__ import annotations

from portico.hub.answers import Answer
from portico.hub.fair_use import a_quarter

MOST_OF_A_BODY = 32 * 1024 * 1024
"""Bytes of one body: SDKs send ``messages``, images and all, before ``model``."""

MOST_IN_ALL = 256 * 1024 * 1024
"""Bytes: eight of the largest bodies; of the usual ones, of less than a megabyte, hundreds."""

FREE = 64 * 1024
"""Bytes of each body that count for nobody. Their number is that of requests under way, which is bounded."""

_RETRY_AFTER = 2  # seconds: most bodies have come and gone by then


class HeldBodies:
    """What all requests of a hub hold together."""

    __slots__ = ("_by_caller", "in_all", "of_a_caller", "total")

    def __init__(self, in_all: int = MOST_IN_ALL) -> None:
        self.in_all = in_all
        self.of_a_caller = a_quarter(in_all)
        self.total = 0
        self._by_caller: dict[str, int] = {}

    def begin(self, caller: str) -> HeldBody:
        """For one more body, of *caller*: a key, a user or a network."""
        return HeldBody(self, caller)

    def take(self, caller: str, count: int) -> None:
        """Hold *count* bytes more. Raises an `Answer` (429 for the caller's share, 503 for all) with Retry-After."""
        held = self._by_caller.get(caller, 0) + count
        if held > self.of_a_caller:
            raise Answer(
                429,
                "too_much_held",
                f"Requests of yours that have not named their model yet hold {self.of_a_caller:,} bytes. Send fewer at "
                "a time, or put the model first in the JSON.",
                retry_after=_RETRY_AFTER,
            )
        if self.total + count > self.in_all:
            raise Answer(
                503,
                "too_much_held",
                "Too many large requests that have not named their model yet are under way. Try again in a moment, or "
                "put the model first in the JSON.",
                retry_after=_RETRY_AFTER,
            )
        self._by_caller[caller] = held
        self.total += count

    def give_back(self, caller: str, count: int) -> None:
        left = self._by_caller[caller] - count
        if left:
            self._by_caller[caller] = left
        else:
            del self._by_caller[caller]
        self.total -= count


class HeldBody:
    """Of one request. What it took is given back once, by `release`."""

    __slots__ = ("_caller", "_counted", "_of", "_size")

    def __init__(self, of: HeldBodies, caller: str) -> None:
        self._of = of
        self._caller = caller
        self._size = 0
        self._counted = 0

    def grow(self, count: int) -> None:
        """*count* bytes more came. Raises an `Answer` (413, 429, 503)."""
        self._size += count
        if self._size > MOST_OF_A_BODY:
            raise Answer(413, "too_large", f"The model was not named within {MOST_OF_A_BODY} bytes.")
        more = self._size - FREE - self._counted
        if more > 0:
            self._of.take(self._caller, more)
            self._counted += more

    def release(self) -> None:
        """Nothing of it is held any more."""
        counted, self._counted = self._counted, 0
        if counted:
            self._of.give_back(self._caller, counted)
