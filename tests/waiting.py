"""Waiting for something to be so, instead of sleeping and hoping: `until` on an event loop, `eventually` off it.

Here: waits for any condition at all. What is asked of a server, a page or a store stands in the test that asks it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN = 20.0
"""Seconds. Nothing takes as long, on a busy machine either; a test that needs more says so."""

_TURNS = 200
"""Turns of the loop before `until` sleeps in between: what tasks of this process bring about takes fewer."""

_PAUSE = 0.001  # seconds between two looks on a loop, where looking is cheap
_LONG_PAUSE = 0.01  # and off it, where a look is often a request


async def until(condition: Callable[[], T], within: float = WITHIN, what: str = "") -> T:
    """Let the loop turn until *condition* gives something true, and return that.

    Raises `AssertionError`, which names *what*, after *within* seconds.
    """
    deadline = time.monotonic() + within
    turned = 0
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what or condition} was not so within {within:g} s"
        await asyncio.sleep(0 if turned < _TURNS else _PAUSE)
        turned += 1
    return value


def eventually(condition: Callable[[], T], within: float = WITHIN, what: str = "") -> T:
    """Ask again and again until *condition* gives something true, and return that; for a test without a loop.

    Raises `AssertionError`, which names *what*, after *within* seconds.
    """
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what or condition} was not so within {within:g} s"
        time.sleep(_LONG_PAUSE)
    return value


async def turns(count: int = 30) -> None:
    """Let the loop turn: what can be done without waiting has been done, for a test that something does not happen."""
    for _ in range(count):
        await asyncio.sleep(0)
