"""When to dial again after a link is lost. Pure: the caller sleeps, and brings the randomness."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0.1  # seconds: a server that restarts in place is back at once
LONGEST = 10.0  # seconds: what a person waits for after a laptop's sleep
FACTOR = 1.8


@dataclass(slots=True)
class Backoff:
    """Doubles (nearly) from `FIRST` to `LONGEST`, with jitter so that many providers do not come at once."""

    failures: int = 0

    def next_delay(self, random: float, at_least: float = 0.0) -> float:
        """Seconds to wait before the next try; *random* is from 0 to 1, *at_least* what the hub asked for."""
        delay = min(LONGEST, FIRST * FACTOR ** min(self.failures, 100))  # a night of failures is no OverflowError
        self.failures += 1
        return at_least * random + delay * (0.5 + 0.5 * random)

    def reset(self) -> None:
        """A link worked."""
        self.failures = 0
