"""What dialogues may take: of messages, questions, answers and time, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DialogueLimits:
    """What dialogues may take. Times are in seconds."""

    most: int = 4096
    """Dialogues at once, with those that have ended and can still be read: as many as a link has streams."""
    messages: int = 10_000
    """Messages that are kept of one: more than a person reads, and what an agent tells in a long run."""
    message_bytes: int = 8 << 20
    """Bytes of them: some pictures are among them."""
    bytes_together: int = 256 << 20
    """Bytes of the messages of all: what a kernel can spare beside its own data."""
    questions: int = 64
    """Questions of one that wait for their answers at a time: nobody has more of them before their eyes."""
    early: int = 16
    """Answers to one that come before their questions: a person who types ahead."""
    answer_bytes: int = 1 << 20
    """Bytes of an answer, and of all early ones of a dialogue: a long text."""
    to_answer: float = 3600.0
    """How long a question waits at most: who has gone to lunch can still answer."""
    life: float = 86_400.0
    """How long a dialogue goes on at most: an agent may work through the night."""
    unread: float | None = 600.0
    """How long it goes on while nobody reads it; None is for as long as it likes. A laptop slept, or a page is gone."""
    kept: float = 600.0
    """How long it can be read after its end: for a reader who was away at the end."""
