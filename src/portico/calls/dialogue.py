"""A call that tells its caller things, asks, and waits for the answers: a function, run once, for all who read it.

Its code has the asking end (`asker`): ``tell`` and ``ask``. Server code (a WebSocket, a stream of events, REST) has the
answering end, a `Dialogue`: it reads the messages from any of them on, answers questions, cancels. `Dialogues` starts
and bounds them. What is kept is in `transcript` and `question`, how synchronous code waits in `dialogue_runners`.

Whatever the code raises, SystemExit and its like among it, ends its dialogue alone, and is reported to its author.

The code may be on any thread; one lock guards what both ends share. All else happens on the loop on which the
dialogue was started.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import uuid4

from portico.calls.dialogue_limits import DialogueLimits
from portico.calls.dialogue_readers import DialogueReader, Readers
from portico.calls.dialogue_runners import Way
from portico.calls.endings import UNUSUAL, as_exception, is_failure
from portico.calls.open_questions import Questions
from portico.calls.owner import OWNER
from portico.calls.question import Question
from portico.calls.transcript import Budget, Transcript
from portico.calls.waiting import HAS_THREADS
from portico.errors import DialogueOver, InvalidOption, UnusableOutput

logger = logging.getLogger(__name__)

_GRACE = 5.0
"""Seconds that cancelled code has to clean up, before its readers are told that the dialogue is over: as long as a
WSGI app has after its visitor left."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a dialogue ended."""

    how: Literal["returned", "failed", "cancelled"]
    value: Any = None
    """What the function returned."""
    error: BaseException | None = None
    """What the code raised, without its traceback: that has gone to the author."""
    reason: str = ""
    """Why it was cancelled."""


LastWords = Callable[[Outcome], Iterable[tuple[str | None, str | bytes]]]
"""Makes the last messages of a dialogue, each an id (or None) and a content, once it is known how it ended."""


class Keeper(Protocol):
    """Counts dialogues. Called on their loop."""

    def ended(self, dialogue: Dialogue) -> None:
        """It has ended."""

    def returned(self, dialogue: Dialogue) -> None:
        """Its code has returned; after a cancelling that may be later than its end."""

    def forgotten(self, dialogue: Dialogue) -> None:
        """It can be read no more."""


class Dialogue:
    """The answering end. Made by `Dialogues.start`, and to be used on the loop on which that was called.

    `answer` and `cancel` may be called from any thread. What comes after the answering end is for this room alone.
    """

    def __init__(
        self,
        doing: str,
        keeper: Keeper,
        limits: DialogueLimits,
        budget: Budget,
        lock: AbstractContextManager[Any],
        last_words: LastWords | None,
    ) -> None:
        self.doing = doing
        """What its author calls it."""
        self.outcome: Outcome | None = None
        """How it ended, once it has."""
        self.stopping: str | None = None
        """Why it is cancelled, once it is."""
        self.has_returned = False
        """Whether its code has come to an end; after a cancelling that may be later than the dialogue's."""
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.lock = lock
        self.asked = Questions(limits.questions, limits.early, limits.answer_bytes)
        self._keeper = keeper
        self._last_words = last_words
        self._transcript = Transcript(limits.messages, limits.message_bytes, budget)
        self._owner = OWNER.get()
        self._task: asyncio.Task[None] | None = None
        self._inline: asyncio.Task[Any] | None = None
        """In which synchronous code runs on the loop itself, as in a tab."""
        self._begun = False
        self._readers = Readers(self)
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # --- the answering end ------------------------------------------------------------------------------------------

    def read(self, after: str | None = None) -> DialogueReader:
        """Read what it tells: the messages that are kept and came after the one with the id *after*, then the others.

        For ``with`` and ``async for``, which ends with the dialogue. Raises `MessagesLost` if *after* is not kept, and
        while it is read if more came meanwhile than is kept.
        """
        return DialogueReader(self._readers, self._transcript, after)

    def questions(self) -> list[Question]:
        """Those that wait for their answers, the oldest first."""
        with self.lock:
            return self.asked.open()

    def answer(self, value: str | bytes, question: str | None = None) -> None:
        """Answer the question with that id; without one the oldest that is open, or else the next that is asked.

        Raises `NoSuchQuestion`; `NotAsked` if it takes no answer any more; `DialogueOver` after the end; and
        `DialogueFull` for an answer that is too long, or for too many that come before their questions.
        """
        with self.lock:
            if self.stopping is not None or self.outcome is not None:
                raise DialogueOver("The dialogue has ended, and takes no answer.")
            self.asked.answer(value, question, self._transcript)

    def cancel(self, reason: str = "the caller has cancelled the dialogue") -> None:
        """End it: what waits for an answer gets `asyncio.CancelledError` at once, and so does what tells or asks later.

        Its readers hear of the end when the code has cleaned up, or some seconds later. Does nothing after the end.
        """
        with self.lock:
            if self.stopping is not None or self.outcome is not None:
                return
            self.stopping = reason
            self.asked.close(reason)
        self.on_loop(self._stop)

    async def wait(self) -> Outcome:
        """Wait for its end."""
        while self.outcome is None:
            await self._readers.news()
        return self.outcome

    def forget(self) -> None:
        """Drop the messages of a dialogue that has ended, before its time. Raises `InvalidOption` before its end."""
        if self.outcome is None:
            raise InvalidOption("A dialogue that goes on cannot be forgotten: cancel it first.")
        timer = self._timers.pop("kept", None)
        if timer is not None:
            timer.cancel()
            self.clear()
            self._readers.wake()
            self._keeper.forgotten(self)

    @property
    def is_forgotten(self) -> bool:
        """Whether it has ended and its messages were dropped."""
        return self.outcome is not None and "kept" not in self._timers

    def clear(self) -> None:
        """Drop the messages; on any thread."""
        with self.lock:
            self._transcript.clear()

    # --- its code, as it runs ---------------------------------------------------------------------------------------

    def run(self, call: Callable[[], Any], way: Way | None) -> None:
        """Run *call*, synchronous code by *way*, and asynchronous code, which has none, on the loop."""
        context = copy_context()
        if way is None:
            self._run_task(call, context)
        else:
            way.run(functools.partial(self._run_here, call), context)
        self._end_after("life", self.limits.life, "it went on for")
        self.read_by(0)

    def _end_after(self, timer: str, seconds: float, why: str) -> None:
        self._timers[timer] = self.loop.call_later(seconds, self.cancel, f"{why} {seconds:g} s, its limit")

    def read_by(self, readers: int) -> None:
        """So many read it now: while it is none, it does not go on for ever."""
        timer = self._timers.pop("unread", None)
        if timer is not None:
            timer.cancel()
        if not readers and self.limits.unread is not None and self.outcome is None:
            self._end_after("unread", self.limits.unread, "nobody read it for")

    def _run_task(self, call: Callable[[], Any], context: Context) -> None:
        self._task = self.loop.create_task(self._run_on_loop(call), context=context)

    async def _run_on_loop(self, call: Callable[[], Any]) -> None:
        value, failure = None, None
        try:
            if self._may_run():
                value = call()
                while inspect.isawaitable(value):
                    value = await value
        except BaseException as error:  # noqa: BLE001 - its author is told of it, and its dialogue ends
            try:
                failure = error if is_failure(error, stopped=self.stopping is not None, task=self._task) else None
            except BaseException:  # Ctrl-C, which ends the loop too; or the interpreter drops what nobody waits for
                if not isinstance(error, GeneratorExit):
                    self._returned(None, error, is_told=True)
                raise
        self._returned(value, failure)

    def _run_here(self, call: Callable[[], Any]) -> None:
        value, failure = None, None
        if not HAS_THREADS:
            self._inline = asyncio.current_task()
        try:
            if self._may_run():
                value = call()
        except BaseException as error:  # noqa: BLE001 - as above
            failure = error if is_failure(error, stopped=self.stopping is not None) else None
        if inspect.isawaitable(value):
            self.on_loop(functools.partial(self._run_further, value, copy_context()))
        else:
            self.on_loop(functools.partial(self._returned, value, failure))

    def _run_further(self, value: Awaitable[Any], context: Context) -> None:
        """Await what a synchronous function has returned."""
        self._run_task(lambda: value, context)
        if self.stopping is not None:
            self._stop()

    def _may_run(self) -> bool:
        """Whether the code may begin, or go on. From then on its end is the dialogue's."""
        with self.lock:
            self._begun = self._begun or self.stopping is None
            return self._begun

    def _stop(self) -> None:
        if self.has_returned:
            return
        if not self._begun:
            self.has_returned = True  # it never runs, though a thread may still come to it
            self._end(Outcome("cancelled", reason=self.stopping or ""))
            return
        if self._task is not None:
            self._task.cancel()
        if "grace" not in self._timers:
            self._timers["grace"] = self.loop.call_later(_GRACE, self._give_up)

    def _give_up(self) -> None:
        self._report(TimeoutError(f"the code still runs, {_GRACE:g} s after it was cancelled; nobody waits for it"))
        self._end(Outcome("cancelled", reason=self.stopping or ""))

    def _returned(self, value: Any, error: BaseException | None, *, is_told: bool = False) -> None:
        self.has_returned = True
        if inspect.isgenerator(value) or inspect.isasyncgen(value):
            error = UnusableOutput(
                f"{self.doing} gave a generator, which nobody iterates. Tell and ask by its first argument instead."
            )
        if error is not None:
            if not is_told:
                self._report(error)
            error.with_traceback(None)  # it would keep alive all that the code had in its hands
            if isinstance(error, UNUSUAL):
                error = as_exception(error)
        if self.stopping is not None:
            self._end(Outcome("cancelled", error=error, reason=self.stopping))
        elif error is not None:
            self._end(Outcome("failed", error=error))
        else:
            self._end(Outcome("returned", value))
        self._keeper.returned(self)

    def _end(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        for timer in self._timers.values():
            timer.cancel()
        failures: list[Exception] = []
        with self.lock:
            try:
                for id, content in self._last_words(outcome) if self._last_words is not None else ():
                    self.add(uuid4().hex if id is None else id, content, None)
            except Exception as error:  # noqa: BLE001 - the author is told; the dialogue must end all the same
                failures.append(error)
            self.outcome = outcome
            self.asked.close("the dialogue has ended")
        self._timers = {"kept": self.loop.call_later(self.limits.kept, self.forget)}
        self._readers.wake()
        self._keeper.ended(self)
        for failure in failures:
            self._report(failure)

    def _report(self, error: BaseException) -> None:
        if self._owner is not None:  # in a context of its own: a request that is under way here has not failed
            copy_context().run(self._owner.report, self.doing, error)
        else:
            logger.error("%s", self.doing, exc_info=error)

    # --- for the asking end, which holds the lock -------------------------------------------------------------------

    def check(self) -> None:
        """Raises `asyncio.CancelledError` or `DialogueOver` where nothing can be told or asked any more."""
        if self.stopping is not None:
            raise asyncio.CancelledError(self.stopping)
        if self.outcome is not None:
            raise DialogueOver("The dialogue has ended: its code can tell and ask nothing any more.")

    def add(self, id: str, content: str | bytes, question: Question | None) -> None:
        """Tell the readers. Raises as `Transcript.add` does."""
        self._transcript.add(id, content, question)
        self._readers.tell()

    def is_awaited_here(self) -> bool:
        """Whether code that asks here must await the answer, as to wait for it would stop all that is on the loop."""
        return self._is_on_loop() and (self._inline is None or asyncio.current_task() is not self._inline)

    def _is_on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def on_loop(self, call: Callable[[], None]) -> None:
        """Call *call* on the loop, at once if it is called there already."""
        if self._is_on_loop():
            call()
            return
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop was closed, and all that waited on it is gone
            logger.debug("%s goes on after its event loop was closed", self.doing)
