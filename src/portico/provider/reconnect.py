"""When to dial again after a link is lost. Pure: the caller sleeps, and brings the randomness."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0.1  # seconds: a server that restarts in place is back at once
LONGEST = 10.0  # seconds: what a person waits for after a laptop's sleep
FACTOR = 1.8
SOON = 1.1  # seconds: within a minute a hub that was upgraded, or whose machine was restarted, should be back
TRIES_SOON = 60
"""Tries that are no further apart than `SOON`, before they come more and more seldom."""

_GROWING = 4  # tries from `FIRST` to about `SOON`


@dataclass(slots=True)
class Backoff:
    """Doubles (nearly) from `FIRST` to `SOON`, stays there for a while, then goes on to `LONGEST`.

    With jitter, so that many providers do not come at once.
    """

    failures: int = 0

    def next_delay(self, random: float, at_least: float = 0.0) -> float:
        """Seconds to wait before the next try; *random* is from 0 to 1, *at_least* what the hub asked for."""
        later = min(max(0, self.failures - TRIES_SOON), 100)  # a night of failures is no OverflowError
        delay = min(LONGEST, FIRST * FACTOR ** (min(self.failures, _GROWING) + later))
        self.failures += 1
        return at_least * random + delay * (0.5 + 0.5 * random)

    def no_room(self) -> None:
        """The hub was there, and had no room: to ask it every second would not make any."""
        self.failures = max(self.failures, TRIES_SOON + 1)

    def reset(self) -> None:
        """A link worked."""
        self.failures = 0
