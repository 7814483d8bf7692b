"""Those who read a dialogue's messages, each at a pace of its own.

What is read is kept in `transcript`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from portico.calls.transcript import DialogueMessage, Transcript
from portico.errors import InvalidOption


class Readable(Protocol):
    """What those who read need of their dialogue."""

    loop: asyncio.AbstractEventLoop
    lock: AbstractContextManager[Any]

    @property
    def outcome(self) -> object:
        """Not None once nothing more will be told."""

    def read_by(self, readers: int) -> None:
        """So many read it now."""

    def on_loop(self, call: Callable[[], None]) -> None:
        """Have *call* called on the loop, from any thread."""


class Readers:
    """Counts those who read, and wakes those who wait for a message or for the end."""

    def __init__(self, dialogue: Readable) -> None:
        self.dialogue = dialogue
        self._count = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._waking = False
        """Whether `wake` is under way to the loop: one serves all that comes before it."""

    def count(self, more: int) -> None:
        """So many *more* read, or fewer."""
        self._count += more
        self.dialogue.read_by(self._count)

    def news(self) -> asyncio.Future[None]:
        """Done at the next message, or at the end."""
        news: asyncio.Future[None] = self.dialogue.loop.create_future()
        news.add_done_callback(self._waiting.discard)  # who waits for it may be cancelled
        with self.dialogue.lock:
            self._waiting.add(news)
        return news

    def tell(self) -> None:
        """There is a message. On any thread, with the dialogue's lock held."""
        if self._waiting and not self._waking:
            self._waking = True
            self.dialogue.on_loop(self.wake)

    def wake(self) -> None:
        """Let all who wait look."""
        with self.dialogue.lock:
            waiting, self._waking = list(self._waiting), False
            self._waiting.clear()
        for news in waiting:
            if not news.done():
                news.set_result(None)


class DialogueReader:
    """One who reads (`Dialogue.read`): a context manager, in which it is an iterator for ``async for``."""

    def __init__(self, readers: Readers, transcript: Transcript, after: str | None) -> None:
        self._readers = readers
        self._dialogue = readers.dialogue
        self._transcript = transcript
        self._first: deque[DialogueMessage] = deque()
        self._is_open = False
        with self._dialogue.lock:
            if after is None:
                self._first.extend(transcript.passed())
                self._number = transcript.lost
            else:
                self._number = transcript.number_of(after)

    def __enter__(self) -> DialogueReader:
        self._is_open = True
        self._readers.count(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._readers.count(-1)

    def __aiter__(self) -> DialogueReader:
        if not self._is_open:
            raise InvalidOption("Read a dialogue in a with statement: `with dialogue.read() as messages:`.")
        return self

    async def __anext__(self) -> DialogueMessage:
        if self._first:
            return self._first.popleft()
        while True:
            with self._dialogue.lock:
                message = self._transcript.next_after(self._number)
                if message is not None:
                    self._number = message.number
                    return message
                if self._dialogue.outcome is not None:
                    raise StopAsyncIteration
                news = self._readers.news()
            await news
