"""What a measure answers with: rows, each one figure, and the bar it has to clear where there is one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Bar:
    """The least or the most that a figure may be, both inclusive, in the row's unit."""

    kind: Literal["at least", "at most"]
    limit: float

    def passes(self, value: float) -> bool:
        return value >= self.limit if self.kind == "at least" else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    `ratio` compares it with the same figure of another path, `ratio_to`. `value` is None when it could not be
    measured; `note` then says why.
    """

    measure: str
    what: str
    value: float | None
    unit: str
    bar: Bar | None = None
    ratio: float | None = None
    ratio_to: str | None = None
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """None where there is no bar, or no figure."""
        if self.bar is None or self.value is None:
            return None
        return self.bar.passes(self.value)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how much a run measures."""

    seconds: int = 4  # one sampling of one path
    rounds: int = 5  # how often each path gets its turn
    transfer: int = 1 << 30  # bytes
    streams: int = 1000
    soak: int = 300  # seconds

    @classmethod
    def quick(cls) -> "Effort":
        """A look at whether everything runs; its figures prove nothing."""
        return cls(seconds=1, rounds=1, transfer=1 << 27, streams=200, soak=10)


Say = Callable[[str], None]
"""Says what is going on, to whoever waits for the run."""
