"""The questions of a dialogue: which wait for an answer, and what becomes of each.

Each is open until it is settled, once. How its asker waits meanwhile is the business of `asker` and `ways`::

    open --answer--------> answered
         --its deadline--> late
         --the dialogue--> cancelled   with the reason
         --the asker-----> withdrawn   it waits no longer

What is not in the table cannot be: a question that is settled stays as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from portico.calls.transcript import Transcript, size_of
from portico.errors import DialogueFull, InvalidOption, NoAnswer, NoSuchQuestion, NotAsked

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


class Questions:
    """Those of one dialogue that are open, and answers that came before their questions."""

    def __init__(self, most: int, most_early: int, most_bytes: int) -> None:
        self._most = most
        self._most_early = most_early
        self._most_bytes = most_bytes
        self._open: list[Question] = []
        """In the order in which they were asked."""
        self._early: deque[str | bytes] = deque()

    def open(self) -> list[Question]:
        """Those that can be answered, the oldest first."""
        self._open = [question for question in self._open if question.is_open]
        return list(self._open)

    def check(self, id: str) -> None:
        """Whether one more may be asked, in a message *id*; raises `DialogueFull` or `InvalidOption` if not."""
        waiting = self.open()
        if len(waiting) >= self._most:
            raise DialogueFull(
                f"{self._most} questions of this dialogue wait for their answers, and there may be no more. "
                "Wait for some of them first."
            )
        if any(question.id == id for question in waiting):
            raise InvalidOption(f"The question {id!r:.60} waits for its answer already: give this one another id.")

    def ask(self, question: Question) -> None:
        """Let *question* wait for its answer, or give it the one that came early."""
        if self._early:
            question.settle("answered", self._early.popleft())
        else:
            self._open.append(question)

    def answer(self, value: str | bytes, id: str | None, transcript: Transcript) -> None:
        """Answer the question *id*, or the oldest that is open, or the next. As `Dialogue.answer` has it."""
        if not isinstance(value, str | bytes):
            raise InvalidOption(f"An answer is text or bytes, not {type(value).__name__}. Make JSON of it first.")
        size = size_of(value)
        if size > self._most_bytes:
            raise DialogueFull(f"An answer of {size:,} bytes is too long: {self._most_bytes:,} is the most.")
        if id is not None:
            question = transcript.question(id)
            if question is None:
                raise NoSuchQuestion(f"The dialogue has asked no question {id!r:.60}. Read which ones it has.")
            if not question.is_open:
                raise NotAsked(f"The question {id!r:.60} takes no answer: {WHY_NOT[question.state]}.")
            question.settle("answered", value)
        elif waiting := self.open():
            waiting[0].settle("answered", value)
        elif len(self._early) < self._most_early and sum(map(size_of, self._early)) + size <= self._most_bytes:
            self._early.append(value)
        else:
            raise DialogueFull("Too many answers came before their questions. Wait for a question.")

    def leave(self, question: Question, became: State) -> None:
        """Nobody waits for *question* any more; if it was open still, this is what becomes of it."""
        question.settle(became)
        if question in self._open:
            self._open.remove(question)

    def close(self, reason: str) -> None:
        """Settle all of them, with why there will be no answer."""
        for question in self.open():
            question.settle("cancelled", reason)
        self._open.clear()
        self._early.clear()
