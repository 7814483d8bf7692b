"""A cache that strangers may fill: bounded in entries and in bytes, and as cheap to ask as a dict, which it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_AN_ENTRY = 200
"""Bytes that an entry is counted for besides what strangers chose of it: a dict's slot, and two small objects."""


class BoundedCache(dict[_Key, _Value]):
    """Ask it as a dict; put into it by `keep` alone.

    When it is full it begins anew: what is asked for often is back at once, and no hit pays for keeping an order.
    """

    __slots__ = ("_always", "_held", "_longest", "_most", "_most_bytes")

    def __init__(
        self,
        most: int = 1000,
        most_bytes: int = 1 << 20,
        *,
        longest: int = 2048,
        always: Mapping[_Key, _Value] | None = None,
    ) -> None:
        """At most *most* entries and *most_bytes* bytes; what takes more than *longest* is not kept at all.

        *always* is what it begins with, each time.
        """
        super().__init__(always or {})
        self._always = always or {}
        self._most = most + len(self)
        self._most_bytes = most_bytes
        self._longest = min(longest, most_bytes - _AN_ENTRY)
        self._held = 0

    def keep(self, key: _Key, value: _Value, size: int) -> _Value:
        """Remember *value*, and return it. *size* is how many bytes of both it took from strangers."""
        if size <= self._longest:
            size += _AN_ENTRY
            if len(self) >= self._most or self._held + size > self._most_bytes:
                self.clear()
            self._held += size
            self[key] = value
        return value

    def clear(self) -> None:
        """Begin anew."""
        super().clear()
        self.update(self._always)
        self._held = 0
