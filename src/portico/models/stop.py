"""Finds stop sequences in a text that comes in pieces. Knows nothing of models or of the wire.

Each character is looked at about once for each sequence, whatever the sequences are, as they are the client's: by the
algorithm of Knuth, Morris and Pratt (1977).
"""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Lets text through up to the first of *stops*, which may lie across the border of two pieces.

    What could be the beginning of a stop sequence is held back until the next piece, or `end`, decides.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._searches = [_Search(stop) for stop in stops if stop]
        self._held = ""
        self.hit: str | None = None
        """The stop sequence that was found."""

    def feed(self, piece: str) -> str:
        """The part of the text that may go out now. Once `hit` is set, nothing more does."""
        if self.hit is not None:
            return ""
        before = len(self._held)
        text = self._held + piece
        first = len(text)
        keep = 0
        for search in self._searches:
            end = search.feed(piece)
            if end is None:
                keep = max(keep, search.matched)
            elif (start := before + end - len(search.stop)) < first:
                first, self.hit = start, search.stop
        if self.hit is not None:
            self._held = ""
            return text[:first]
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


class _Search:
    """Looks for one stop sequence: the text so far ends with its first ``matched`` characters, and no more of them."""

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.matched = 0
        # For each beginning of the sequence: the longest shorter one that it ends with.
        self._shorter = [0] * len(stop)
        for place in range(1, len(stop)):
            self._shorter[place] = self._longer(self._shorter[place - 1], stop[place])

    def feed(self, piece: str) -> int | None:
        """Where in *piece* the sequence ends for the first time; None if it does not."""
        matched = self.matched
        if not matched and self.stop[0] not in piece:
            return None
        for place, character in enumerate(piece):
            matched = self._longer(matched, character)
            if matched == len(self.stop):
                return place + 1
        self.matched = matched
        return None

    def _longer(self, matched: int, character: str) -> int:
        while matched and self.stop[matched] != character:
            matched = self._shorter[matched - 1]
        return matched + 1 if self.stop[matched] == character else 0
