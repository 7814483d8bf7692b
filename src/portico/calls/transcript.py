"""What a dialogue has told, kept so that it can be read again from any message on. Bounded in messages and in bytes.

Plain data, with no lock, loop or clock. When it is full, the oldest message goes, but never a question that waits for
its answer: a reader who comes back must still be able to answer it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from portico.calls.question import Question
from portico.errors import DialogueFull, InvalidOption, MessagesLost

MOST_ID = 200
"""Characters of an id that code chooses itself: several times those of a UUID."""

_A_MESSAGE = 450
"""Bytes that a message is counted for besides its content: its id, its question, what keeps them (measured: 445)."""


def size_of(text: str | bytes) -> int:
    """Bytes of *text*, in UTF-8."""
    if isinstance(text, str) and not text.isascii():
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text)


@dataclass(frozen=True, slots=True)
class DialogueMessage:
    """One message of a dialogue."""

    number: int
    """1 for the first of its dialogue, then one more for each."""
    id: str
    content: str | bytes
    question: Question | None
    """What it asks, if it is a question."""


class Budget:
    """Bytes that several transcripts may hold together."""

    __slots__ = ("held", "most", "reclaim")

    def __init__(self, most: int, reclaim: Callable[[], bool] = lambda: False) -> None:
        self.most = most
        self.held = 0
        self.reclaim = reclaim
        """Clears a transcript that can best be spared; returns whether there was one. Called with the lock held."""

    def has_room(self, size: int) -> bool:
        """Whether *size* bytes more may be held, once what can be spared is cleared."""
        while self.held + size > self.most:
            if not self.reclaim():
                return False
        return True


class Transcript:
    """At most *most* messages of together *most_bytes*, as far as *budget* has room beside the other transcripts."""

    def __init__(self, most: int, most_bytes: int, budget: Budget) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._budget = budget
        self._messages: deque[DialogueMessage] = deque()
        """Those that are kept, with no number left out."""
        self._passed: list[DialogueMessage] = []
        """Older ones that would have gone, but for their question, which is open."""
        self._numbers: dict[str, list[int]] = {}
        """Of each kept id: code may use an id twice, as when it asks the same again."""
        self._held = 0
        self.last = 0
        """The number of the last message that was told."""
        self.lost = 0
        """The number of the newest message that is not kept any more."""

    def add(self, id: str, content: str | bytes, question: Question | None) -> DialogueMessage:
        """Keep a message, in place of the oldest ones if need be.

        Raises `InvalidOption` for what cannot be a message, and `DialogueFull` for one that has no room even then.
        """
        if not isinstance(content, str | bytes):
            raise InvalidOption(f"A message is text or bytes, not {type(content).__name__}. Make JSON of it first.")
        if not isinstance(id, str) or not 0 < len(id) <= MOST_ID:
            raise InvalidOption(f"A message's id is a text of 1 to {MOST_ID} characters, not {id!r:.60}")
        size = size_of(content) + _A_MESSAGE
        if size > self._most_bytes:
            raise DialogueFull(f"A message of {size:,} bytes is too long: {self._most_bytes:,} are kept of a dialogue.")
        self._forget_settled()
        while not self._has_room(size):
            if not self._messages:
                raise DialogueFull(
                    "The message has no room beside the open questions of this dialogue, "
                    "or beside the other dialogues. Ask less at once, or shorter."
                )
            self._drop_oldest()
        self.last += 1
        message = DialogueMessage(self.last, id, content, question)
        self._messages.append(message)
        self._numbers.setdefault(id, []).append(message.number)
        self._count(size)
        return message

    def next_after(self, number: int) -> DialogueMessage | None:
        """The kept message that follows *number*; None if none has been told since. Raises `MessagesLost`."""
        if number >= self.last:
            return None
        if number < self.lost:
            raise MessagesLost(
                f"Messages after number {number} are not kept any more: more came than could be kept before they were "
                "read. Read from the start, without an id."
            )
        return self._messages[number + 1 - self._messages[0].number]

    def passed(self) -> list[DialogueMessage]:
        """Open questions that are older than all other messages that are kept."""
        self._forget_settled()
        return list(self._passed)

    def number_of(self, id: str) -> int:
        """The number of the message *id*: of the first one, if there are several. Raises `MessagesLost`."""
        if id not in self._numbers or self._numbers[id][0] < self.lost:
            raise MessagesLost(
                f"No message {id!r:.60} is kept: there was none, or newer ones took its place. "
                "Read from the start, without an id."
            )
        return self._numbers[id][0]

    def question(self, id: str) -> Question | None:
        """The question of the message *id*: of the last one, if there are several."""
        numbers = self._numbers.get(id)
        if numbers is None:
            return None
        first = self._messages[0].number if self._messages else self.last + 1
        if numbers[-1] >= first:
            return self._messages[numbers[-1] - first].question
        return next((message.question for message in self._passed if message.number == numbers[-1]), None)

    def clear(self) -> None:
        """Forget all messages."""
        self._messages.clear()
        self._passed.clear()
        self._numbers.clear()
        self._count(-self._held)
        self.lost = self.last

    def _has_room(self, size: int) -> bool:
        return (
            len(self._messages) + len(self._passed) < self._most
            and self._held + size <= self._most_bytes
            and self._budget.has_room(size)
        )

    def _drop_oldest(self) -> None:
        message = self._messages.popleft()
        self.lost = message.number
        if message.question is not None and message.question.is_open:
            self._passed.append(message)
        else:
            self._forget(message)

    def _forget_settled(self) -> None:
        for message in [message for message in self._passed if message.question and not message.question.is_open]:
            self._passed.remove(message)
            self._forget(message)

    def _forget(self, message: DialogueMessage) -> None:
        numbers = self._numbers[message.id]
        numbers.remove(message.number)
        if not numbers:
            del self._numbers[message.id]
        self._count(-size_of(message.content) - _A_MESSAGE)

    def _count(self, size: int) -> None:
        self._held += size
        self._budget.held += size
