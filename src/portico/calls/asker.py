"""The asking end of a dialogue: what its code tells and asks, and how it waits, wherever that code runs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from portico.calls.question import Question, State
from portico.calls.waiting import waiter
from portico.errors import InvalidOption

if TYPE_CHECKING:
    from portico.calls.dialogue import Dialogue


class Asker:
    """Tells and asks. May be used from any thread, as long as the dialogue goes on."""

    __slots__ = ("_dialogue",)

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def tell(self, content: str | bytes, *, id: str | None = None) -> str:
        """Say *content*; returns its message's id, a new one if none is given. Never waits.

        Raises `asyncio.CancelledError` once the dialogue was cancelled, `DialogueOver` once it has ended, and
        `DialogueFull` for a message that is too long.
        """
        dialogue, id = self._dialogue, uuid4().hex if id is None else id
        with dialogue.lock:
            dialogue.check()
            dialogue.add(id, content, None)
        return id

    def ask(self, content: str | bytes, *, id: str | None = None, timeout: float | None = None) -> Any:
        """Say *content*, a question, and wait for its answer: at most *timeout* seconds, or as long as one may wait.

        On the event loop, where asynchronous code runs, this gives an awaitable of the answer; elsewhere it stops the
        code that calls it, and gives the answer. Raises `NoAnswer` (a `TimeoutError`) if none came in time,
        `asyncio.CancelledError` if the dialogue was cancelled, before or meanwhile, and what `tell` raises;
        `DialogueFull` also if too many questions wait; and `CannotWait` where synchronous code cannot wait.
        """
        limit = self._dialogue.limits.to_answer
        if timeout is not None:
            if not isinstance(timeout, int | float) or math.isnan(timeout) or timeout < 0:
                raise InvalidOption(f"timeout is a number of seconds, not {timeout!r:.60}")
            limit = min(timeout, limit)
        asked = (content, uuid4().hex if id is None else id, limit)
        if self._dialogue.is_awaited_here():
            return self._ask_later(*asked)
        return self._ask_here(*asked)

    @property
    def is_cancelled(self) -> bool:
        """Whether the dialogue is to end, or has: for code that computes long and neither tells nor asks."""
        return self._dialogue.stopping is not None or self._dialogue.outcome is not None

    def _ask(self, content: str | bytes, id: str, limit: float, wake: Callable[[], None]) -> Question:
        """Say the question. *wake* is called once it is settled, unless an answer was there before it."""
        dialogue = self._dialogue
        with dialogue.lock:
            dialogue.check()
            dialogue.asked.check(id)
            question = Question(id, limit)
            dialogue.add(id, content, question)
            dialogue.asked.ask(question)
            question.wake = wake
        return question

    def _ask_here(self, content: str | bytes, id: str, limit: float) -> str | bytes:
        stop = waiter(self._dialogue.loop)
        question = self._ask(content, id, limit, stop.wake)
        became: State = "withdrawn"
        try:
            if question.is_open:
                stop.wait(question.deadline)
            became = "late"
        finally:  # an interrupt withdraws it
            self._leave(question, became)
        return question.result()

    def _ask_later(self, content: str | bytes, id: str, limit: float) -> asyncio.Future[str | bytes]:
        dialogue = self._dialogue
        answer: asyncio.Future[str | bytes] = dialogue.loop.create_future()

        def settled() -> None:
            if not answer.done():
                try:
                    answer.set_result(question.result())
                except asyncio.CancelledError as error:
                    answer.cancel(*error.args)
                except TimeoutError as error:
                    answer.set_exception(error)

        def over(_: object) -> None:
            timer.cancel()
            self._leave(question, "withdrawn")

        question = self._ask(content, id, limit, lambda: dialogue.on_loop(settled))
        timer = dialogue.loop.call_later(max(0.0, question.deadline - time.monotonic()), self._leave, question, "late")
        answer.add_done_callback(over)
        if not question.is_open:
            settled()
        return answer

    def _leave(self, question: Question, became: State) -> None:
        """Nobody waits for *question* any more; if it was open still, this is what becomes of it."""
        with self._dialogue.lock:
            self._dialogue.asked.leave(question, became)
