"""Joins halves of surrogate pairs that come in two pieces: a tokenizer or a JavaScript server may cut an emoji in two.

Knows nothing of models. Source: The Unicode Standard, section 3.8 "Surrogates".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

has_half = re.compile("[\ud800-\udfff]").search
"""Finds the half of a pair in a text. Python's texts have no whole pairs, unless they were put together of halves."""


class Halves:
    """Holds back the first half of a pair, by the channel in which it came, until the next piece of that channel."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def joined(self, channel: str, piece: str) -> str:
        """*piece* as it may go out now: pairs are whole characters, and a half that stays alone is U+FFFD."""
        first = self.held.pop(channel, "") if self.held else ""
        if not first and (piece.isascii() or not has_half(piece)):
            return piece
        piece = first + piece
        if "\ud800" <= piece[-1] <= "\udbff":
            self.held[channel] = piece[-1]
            piece = piece[:-1]
        return piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def joined_in(self, delta: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        """*delta* with its texts `joined`, those in dicts too: each key is a channel, after *prefix*."""
        return {
            key: self.joined(f"{prefix}{key}", value)
            if isinstance(value, str)
            else self.joined_in(value, f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else value
            for key, value in delta.items()
        }

    def rest_in(self, prefix: str) -> list[dict[str, Any]]:
        """What is still held of deltas, as deltas."""
        found = []
        for channel in [channel for channel in self.held if channel.startswith(prefix)]:
            value: Any = self.rest(channel)
            for key in reversed(channel.removeprefix(prefix).split(".")):
                value = {key: value}
            found.append(value)
        return found

    def rest(self, channel: str) -> str:
        """What is still held, as no more comes."""
        return "\ufffd" if self.held.pop(channel, "") else ""
