"""What becomes of what a function gives: one result of it all, or items as they come, told from a result.

Here: the two sinks that a call hands to `portico.calls.run.drive`. Not here: what a result looks like to its caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from portico.calls.run import Frames, Sink
from portico.errors import UnusableOutput

MOST_ITEMS = 1_000_000
"""Items of a generator in one result: a generator may never end, and its caller may not know."""


class Whole:
    """A sink that makes one result of what comes."""

    done = False

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.feed: Callable[[Any], Frames] = self._keep
        self._items: list[Any] = []
        self._value: Any = None
        self._is_value = False

    def iterate(self, produced: Any) -> Any:
        iterator = iterator_of(produced)
        if iterator is None and is_value(produced):
            self.feed = self.final
        return iterator

    def _keep(self, item: Any) -> Frames:
        if len(self._items) >= MOST_ITEMS:
            self.failure = UnusableOutput(
                f"The function yields more than {MOST_ITEMS:,} items, and one answer is made of no more. Ask for a "
                "stream, or let it end."
            )
            raise self.failure
        self._items.append(item)
        return None

    def final(self, value: Any) -> Frames:
        self._value, self._is_value = value, True
        return None

    async def write(self, frame: bytes) -> None:
        raise AssertionError("there is nothing to write: `feed` gives no frames")

    @property
    def result(self) -> Any:
        return self._value if self._is_value and not self._items else self._items


class Told:
    """A sink for another, which knows what that one raised from what the function raised."""

    def __init__(self, sink: Sink) -> None:
        self.failure: BaseException | None = None
        self.feed: Callable[[Any], Frames] = self._told(sink.feed)
        self.final: Callable[[Any], Frames] = self._told(sink.final)
        self._sink = sink
        self._write = sink.write

    def iterate(self, produced: Any) -> Any:
        iterator = iterator_of(produced)
        if iterator is None and is_value(produced):
            self.feed = self.final
        return iterator

    @property
    def done(self) -> bool:
        return self._sink.done

    async def write(self, frame: bytes) -> None:
        try:
            await self._write(frame)
        except Exception as error:
            self.failure = error
            raise

    def _told(self, take: Callable[[Any], Frames]) -> Callable[[Any], Frames]:
        def told(item: Any) -> Frames:
            try:
                return take(item)
            except Exception as error:
                self.failure = error
                raise

        return told


def iterator_of(produced: Any) -> Any:
    """An iterator over what a function gave, or None if that is its value.

    A list is one, and so is a table; and a file in memory (`io.BytesIO`), which is an iterator of lines as well.
    """
    kind = type(produced)
    return produced if hasattr(kind, "__next__") and not hasattr(kind, "getbuffer") else None


def is_value(produced: Any) -> bool:
    """Whether what is no iterator is a result, and nothing that has to be awaited or gone through on the event loop."""
    return not hasattr(type(produced), "__aiter__") and not inspect.isawaitable(produced)
