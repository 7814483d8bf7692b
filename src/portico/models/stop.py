"""Finds stop sequences in a text that comes in pieces. Knows nothing of models or of the wire."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Lets text through up to the first of *stops*, which may lie across the border of two pieces.

    What could be the beginning of a stop sequence is held back until the next piece, or `end`, decides.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.hit: str | None = None
        """The stop sequence that was found."""

    def feed(self, piece: str) -> str:
        """The part of the text that may go out now. Once `hit` is set, nothing more does."""
        if self.hit is not None:
            return ""
        text = self._held + piece
        first = len(text)
        for stop in self._stops:
            at = text.find(stop)
            if at != -1 and at < first:
                first, self.hit = at, stop
        if self.hit is not None:
            self._held = ""
            return text[:first]
        keep = self._beginning_at_end(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held

    def _beginning_at_end(self, text: str) -> int:
        """The length of the longest end of *text* that a stop sequence begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
