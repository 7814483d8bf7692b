"""What one address may do: so many connections at a time, and so many requests that it opens and abandons.

A request that is opened and abandoned costs its sender nothing and a provider much: a stream, a task, an app's start.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from portico.bounded import BoundedCache
from portico.hub.answers import Answer
from portico.networks import network_of

MOST_CONNECTIONS = 512
"""Of one address that is no trusted proxy: a household, or an office behind one router."""

MOST_ABANDONED = 200
"""Requests at once: a person who leaves a page that is loading abandons some dozens."""

ABANDONED_A_SECOND = 20.0
"""Requests that one may go on to abandon."""

_REMEMBERED = 10_000


class Addresses:
    """Counts by address; of IPv6, by the network of 64 bits that one subscriber has. Memory is bounded."""

    def __init__(
        self,
        *,
        connections: int = MOST_CONNECTIONS,
        abandoned: int = MOST_ABANDONED,
        a_second: float = ABANDONED_A_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_connections = connections
        self._most_abandoned = float(abandoned)
        self._a_second = a_second
        self._clock = clock
        self._connections: dict[str, int] = {}
        self._left: BoundedCache[str, tuple[float, float]] = BoundedCache(_REMEMBERED, None, oldest_first=True)
        """Of a network: how many requests it might still abandon, at which time."""
        self.over: BoundedCache[str, float] = BoundedCache(_REMEMBERED, None, oldest_first=True)
        """Networks that abandoned too many, and until when they are refused. Mostly empty: ask it first."""

    # --- connections --------------------------------------------------------------------------------------------

    def connect(self, address: str) -> bool:
        """One more connection. False: there are as many as there may be; it is counted nonetheless."""
        address = network_of(address)
        count = self._connections.get(address, 0) + 1
        self._connections[address] = count
        return count <= self._most_connections

    def disconnect(self, address: str) -> None:
        address = network_of(address)
        count = self._connections.get(address, 0) - 1
        if count > 0:
            self._connections[address] = count
        else:
            self._connections.pop(address, None)

    # --- requests -----------------------------------------------------------------------------------------------

    def abandoned(self, address: str) -> None:
        """A visitor left before the answer to a request was whole."""
        network, now = network_of(address), self._clock()
        left, since = self._left.get(network, (self._most_abandoned, now))
        left = min(self._most_abandoned, left + (now - since) * self._a_second) - 1.0
        self._left.keep(network, (max(left, 0.0), now))
        if left < 0.0:
            self.over.keep(network, now + self._most_abandoned / self._a_second / 2)

    def check(self, address: str) -> None:
        """Raises an `Answer` (429, with Retry-After) for an address that abandoned too many. To be asked if `over`."""
        network, now = network_of(address), self._clock()
        until = self.over.get(network)
        if until is None:
            return
        if until <= now:
            self._forget(now)
            return
        raise Answer(
            429,
            "too_many_aborted",
            "Too many requests were opened from your network and abandoned. Try again in a moment.",
            retry_after=max(1, int(until - now) + 1),
        )

    def _forget(self, now: float) -> None:
        """Let those in again whose time is over. They stand in the order in which it ends."""
        while self.over and next(iter(self.over.values())) <= now:
            self.over.popitem(last=False)
