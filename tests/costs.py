"""How the cost of something grows with its input: by this thread's processor time, which no other process disturbs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_TOO_SHORT = 0.004
"""Seconds that a clock and an interpreter's whims cannot tell apart; what costs less is of no harm either."""
_MOST = 9.0
"""Times the cost of an input that is four times as long: 4 if it grows in proportion, 16 if with the square."""


def seconds(work: Callable[[], object]) -> float:
    """The processor time of *work*: the least of three."""
    least = float("inf")
    for _ in range(3):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
        if least < _TOO_SHORT:
            break
    return least


def grows_in_proportion(work: Callable[[Any], object], make: Callable[[int], Any], size: int) -> bool:
    """Whether *work* on what *make* makes of a size costs in proportion: of *size*, and of four times that."""
    small, large = make(size), make(4 * size)
    much = seconds(lambda: work(large))
    return much < _TOO_SHORT or much < _MOST * max(seconds(lambda: work(small)), _TOO_SHORT / 8)
