"""A dict that strangers may fill: bounded in entries and in bytes, and as fast to read as any dict.

When it is full, a cache is emptied, and begins anew. With ``oldest_first``, which is for what is remembered of
somebody, the oldest entry goes instead.

And `BoundedShares`: a count of what callers hold of so much. How many of something each holds, which is asked before
it is taken, is counted by `portico.hub.fair_use`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_AN_ENTRY = 200
"""Bytes that an entry is counted for besides what strangers chose of it: a dict's slot, and two small objects."""


class BoundedCache(OrderedDict[_Key, _Value]):
    """Ask it as a dict; put into it by `keep` alone, and take out of it by `forget`.

    When it is full it begins anew: what is asked for often is back at once, and no hit pays for keeping an order. With
    *oldest_first* what was kept longest ago makes room instead, as befits what is not found out again by asking: who
    came how often, say. To keep a key anew makes it the newest.
    """

    __slots__ = ("_always", "_each", "_held", "_longest", "_most", "_most_bytes", "_sizes")

    def __init__(
        self,
        most: int = 1000,
        most_bytes: int | None = 1 << 20,
        *,
        longest: int = 2048,
        each: int = _AN_ENTRY,
        always: Mapping[_Key, _Value] | None = None,
        oldest_first: bool = False,
    ) -> None:
        """At most *most* entries and *most_bytes* bytes; what takes more than *longest* is not kept at all.

        *most_bytes* None: the entries are so small that their number bounds them. *each* is how many bytes an entry
        counts for besides its own. *always* is what it begins with, each time; not for *oldest_first*.
        """
        super().__init__(always or {})
        self._always = always or {}
        self._most = most + len(self)
        self._most_bytes = most_bytes
        self._longest = longest if most_bytes is None else min(longest, most_bytes - each)
        self._each = each
        self._held = 0
        self._sizes: dict[_Key, int] | None = {} if oldest_first else None

    def keep(self, key: _Key, value: _Value, size: int = 0) -> _Value:
        """Remember *value*, and return it. *size* is how many bytes of both it took from strangers.

        Where it is too long to be kept, what was kept under its key before is forgotten all the same.
        """
        if size > self._longest:
            self.forget(key)
        elif self._sizes is not None:
            self._keep_as_newest(self._sizes, key, value, size)
        else:
            size += self._each
            if len(self) >= self._most or (self._most_bytes is not None and self._held + size > self._most_bytes):
                self.clear()
            self._held += size
            self[key] = value
        return value

    def _keep_as_newest(self, sizes: dict[_Key, int], key: _Key, value: _Value, size: int) -> None:
        most_bytes = self._most_bytes
        if most_bytes is None:  # nothing to weigh
            self[key] = value
            self.move_to_end(key)
            if len(self) > self._most:
                self.popitem(last=False)
            return
        self.forget(key)
        self[key] = value
        sizes[key] = size + self._each
        self._held += size + self._each
        while len(self) > self._most or self._held > most_bytes:
            self.forget(next(iter(self)))

    def forget(self, key: _Key) -> _Value | None:
        """Forget what is kept under *key*, and return it; None if there is nothing."""
        if self._sizes:
            self._held -= self._sizes.pop(key, 0)
        return self.pop(key, None)

    def clear(self) -> None:
        """Begin anew."""
        super().clear()
        self.update(self._always)
        self._held = 0
        if self._sizes:
            self._sizes.clear()


class BoundedShares(ABC):
    """So much in all, of which one caller may have a part."""

    __slots__ = ("_by_caller", "in_all", "of_a_caller", "total")

    def __init__(self, in_all: int, of_a_caller: int) -> None:
        self.in_all = in_all
        self.of_a_caller = of_a_caller
        self.total = 0
        """What all hold."""
        self._by_caller: dict[str, int] = {}

    @abstractmethod
    def full(self, *, of_a_caller: bool) -> Exception:
        """The error for who would hold more than a caller's share, or than there is in all."""

    def take(self, caller: str, count: int) -> None:
        """Hold *count* more. Raises what `full` gives, and holds no more then."""
        held = self._by_caller.get(caller, 0) + count
        if held > self.of_a_caller:
            raise self.full(of_a_caller=True)
        if self.total + count > self.in_all:
            raise self.full(of_a_caller=False)
        self._by_caller[caller] = held
        self.total += count

    def give_back(self, caller: str, count: int) -> None:
        """Hold *count* less."""
        left = self._by_caller[caller] - count
        if left:
            self._by_caller[caller] = left
        else:
            del self._by_caller[caller]
        self.total -= count
