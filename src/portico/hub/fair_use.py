"""Who holds how much of what is limited, and who comes how often.

Every limit of a hub is counted for somebody: an address (`portico.networks`), or who speaks (`Principal.id`). So one
of them who takes all that they may leaves room for the others. Here is the counting alone: `Shares` counts what is
held, `Rates` what comes. What is counted, and what is said to those who are refused, is decided where these are used.

A share of a service, which makes it public by a relay, is something else: `portico.provider.sharing`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from portico.bounded import BoundedCache
from portico.errors import Refused

_REMEMBERED = 10_000  # owners of whom a rate is known: a megabyte or two
_EVERY = 10.0  # seconds between two lines of the log about one limit


class NoRoom(Refused):
    """A limit is reached, and there may be room later: a link hears GOAWAY(OVERLOAD), a visitor 429."""

    def __init__(self, limit: str, reason: str) -> None:
        """*limit* names the limit, in the metrics; *reason* is for people."""
        super().__init__(reason, "no_room")
        self.limit = limit


def a_quarter(of: int) -> int:
    """The share of one owner where no setting says it: four have to come before the whole is taken."""
    return max(1, of // 4)


class Shares:
    """How many each owner holds now. What is taken is given back exactly once, by whoever took it.

    The owner "" is nobody in particular: what it holds counts in all, and has no share.
    """

    __slots__ = ("_held", "in_all", "of_one", "total")

    def __init__(self, of_one: int, in_all: int | None = None) -> None:
        """*in_all* None: there is no limit for all together."""
        self.of_one = of_one
        self.in_all = in_all
        self.total = 0
        self._held: dict[str, int] = {}

    def has_room(self, owner: str) -> bool:
        """Whether the owner's share, if it has one, is not used up."""
        return not owner or self._held.get(owner, 0) < self.of_one

    @property
    def full(self) -> bool:
        """Whether all together hold as many as there may be."""
        return self.in_all is not None and self.total >= self.in_all

    def take(self, owner: str) -> None:
        """Count one more, whether there is room or not: ask before."""
        self._held[owner] = self._held.get(owner, 0) + 1
        self.total += 1

    def give_back(self, owner: str) -> None:
        left = self._held[owner] - 1
        if left:
            self._held[owner] = left
        else:
            del self._held[owner]
        self.total -= 1

    def held_by(self, owner: str) -> int:
        return self._held.get(owner, 0)

    def biggest(self) -> str:
        """The owner who holds most."""
        return max(self._held, key=lambda owner: self._held[owner])


class Bucket:
    """So many at once, and then so many a second: a token bucket, full at first. Time is an argument."""

    __slots__ = ("_a_second", "_at_once", "_left", "_since")

    def __init__(self, at_once: float, a_second: float, now: float) -> None:
        self._at_once, self._a_second = at_once, a_second
        self._left, self._since = at_once, now

    def left(self, now: float) -> float:
        """How many there are. Below zero, more were taken than there were."""
        self._left = min(self._at_once, self._left + (now - self._since) * self._a_second)
        self._since = now
        return self._left

    def take(self, now: float) -> None:
        """Take one, whether there is one or not, down to an empty bucket's worth of debt."""
        self._left = max(self.left(now) - 1.0, -self._at_once)

    def wait(self, now: float) -> float:
        """Seconds until there is one to take; 0.0 if there is."""
        left = self.left(now)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._a_second


class Rates:
    """A `Bucket` for each owner. Bounded: the owner who was unseen longest begins anew. "" has none."""

    __slots__ = ("_a_second", "_at_once", "_buckets", "_clock")

    def __init__(
        self,
        at_once: float,
        a_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._at_once, self._a_second = at_once, a_second
        self._clock = clock
        self._buckets: BoundedCache[str, Bucket] = BoundedCache(remembered, None, oldest_first=True)

    def take(self, owner: str) -> float:
        """Take one if there is one, and return 0.0; else the seconds until there is."""
        if not owner:
            return 0.0
        bucket, now = self._of(owner), self._clock()
        wait = bucket.wait(now)
        if not wait:
            bucket.take(now)
        return wait

    def spend(self, owner: str) -> None:
        """Take one, whether there is one or not: what cannot be refused counts for what comes next."""
        if owner:
            self._of(owner).take(self._clock())

    def wait(self, owner: str) -> float:
        """Seconds until there is one to take."""
        bucket = self._buckets.get(owner)
        return 0.0 if bucket is None else bucket.wait(self._clock())

    def _of(self, owner: str) -> Bucket:
        bucket = self._buckets.get(owner) or Bucket(self._at_once, self._a_second, self._clock())
        return self._buckets.keep(owner, bucket)


class Refusals:
    """Counts what was refused, by the limit, and logs each limit so often only: a flood must not fill the disk."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._next: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        """By the limit's name. There are as many as there are limits, so it is bounded."""

    def add(self, limit: str, text: str) -> None:
        """One more. *text* is logged, with how many there were since the last line of the same limit."""
        self.counts[limit] = self.counts.get(limit, 0) + 1
        now = self._clock()
        if now < self._next.get(limit, now):
            self._unsaid[limit] = self._unsaid.get(limit, 0) + 1
            return
        self._next[limit] = now + _EVERY
        unsaid = self._unsaid.pop(limit, 0)
        self._logger.warning("%s%s", text, f" ({unsaid} more like this were not logged)" if unsaid else "")
