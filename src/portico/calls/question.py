"""A question of a dialogue, and what becomes of it.

It is open until it is settled, once. How its asker waits meanwhile is the business of `asker` and `waiting`::

    open --answer--------> answered
         --its deadline--> late
         --the dialogue--> cancelled   with the reason
         --the asker-----> withdrawn   it waits no longer

What is not in the table cannot be: a question that is settled stays as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from portico.errors import NoAnswer

State = Literal["open", "answered", "late", "cancelled", "withdrawn"]

WHY_NOT: dict[State, str] = {
    "answered": "it has been answered already",
    "late": "the time to answer it has passed",
    "cancelled": "the dialogue has ended",
    "withdrawn": "the code does not wait for it any more",
}
"""Why a question that is settled takes no answer."""


class Question:
    """A question with the time that there is for its answer. Its dialogue's lock is held around each method."""

    __slots__ = ("_limit", "_state", "_value", "deadline", "id", "wake")

    def __init__(self, id: str, limit: float) -> None:
        self.id = id
        """That of the message that asks it."""
        self.deadline = time.monotonic() + limit
        """On the clock of `time.monotonic`."""
        self.wake: Callable[[], None] | None = None
        """Called when it is settled, on any thread."""
        self._limit = limit
        self._state: State = "open"
        self._value: str | bytes = ""

    @property
    def state(self) -> State:
        """Where it is in the table."""
        if self._state == "open" and time.monotonic() >= self.deadline:
            self.settle("late")
        return self._state

    @property
    def is_open(self) -> bool:
        """Whether it can be answered."""
        return self.state == "open"

    def settle(self, state: State, value: str | bytes = "") -> None:
        """Settle it if it is open, with its answer or why it was cancelled."""
        if self._state == "open":
            self._state, self._value = state, value
            if self.wake is not None:
                self.wake()

    def result(self) -> str | bytes:
        """The answer. Raises `NoAnswer` if it is late, and `asyncio.CancelledError` if there will be none."""
        if self._state == "answered":
            return self._value
        if self._state == "late":
            raise NoAnswer(f"Nobody answered within {self._limit:g} s. Ask again, or do without the answer.")
        raise asyncio.CancelledError(self._value or WHY_NOT[self._state])
