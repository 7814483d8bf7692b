"""Who is told that the list of tools has changed.

One that does not read holds up nobody, and keeps nothing but the fact that there is news. Knows no library of MCP.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MAX_LISTENERS = 1000
"""Streams at a time: a client has one, and each costs about 30 KB."""

MAX_LISTENERS_OF_CALLER = 32
"""The same, of one caller at one address: the windows of a person's programs, and those of some colleagues behind one
address."""


class TooManyListeners(Exception):
    """There are as many as there may be. Its text says whose."""


class Listener:
    """Waits for news. Several changes while nobody waits are one."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._over = False

    async def news(self) -> bool:
        """Wait for the next change. False if there will be none: the stream is to end."""
        await self._news.wait()
        self._news.clear()
        return not self._over

    def tell(self) -> None:
        """Say that there is news."""
        self._news.set()

    def end(self) -> None:
        """Say that there will be none."""
        self._over = True
        self._news.set()


class Changes:
    """All that listen."""

    def __init__(self) -> None:
        self._all: set[Listener] = set()
        self._of_caller: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def listening(self, caller: str) -> Iterator[Listener]:
        """A listener, for as long as the block lasts. Raises `TooManyListeners`."""
        if self._of_caller[caller] >= MAX_LISTENERS_OF_CALLER:
            raise TooManyListeners(f"You listen {MAX_LISTENERS_OF_CALLER} times already: end one of those streams.")
        if len(self._all) >= MAX_LISTENERS:
            raise TooManyListeners("Too many clients listen here. Try again later.")
        listener = Listener()
        self._all.add(listener)
        self._of_caller[caller] += 1
        try:
            yield listener
        finally:
            self._all.discard(listener)
            self._of_caller[caller] -= 1
            if not self._of_caller[caller]:
                del self._of_caller[caller]

    def tell(self) -> None:
        """Say that the list has changed."""
        for listener in self._all:
            listener.tell()

    def close(self) -> None:
        """End each stream, as its protocol does that in order."""
        for listener in self._all:
            listener.end()
