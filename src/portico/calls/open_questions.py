"""The questions of a dialogue that wait for an answer, and answers that came before their questions.

Here: how many there may be, and which one an answer is for. What becomes of one is in `question`.
"""

from __future__ import annotations

from collections import deque

from portico.calls.question import WHY_NOT, Question, State
from portico.calls.transcript import Transcript, size_of
from portico.errors import DialogueFull, InvalidOption, NoSuchQuestion, NotAsked


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
