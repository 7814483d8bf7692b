"""The dialogues of one app: starts them, and bounds how many there are."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from portico.calls.asker import Asker
from portico.calls.dialogue import Dialogue, LastWords
from portico.calls.dialogue_limits import DialogueLimits
from portico.calls.dialogue_runners import Way, usual_way
from portico.calls.run import runs_on_loop
from portico.calls.transcript import Budget
from portico.calls.waiting import HAS_THREADS
from portico.errors import DialogueOver, InvalidOption, TooManyDialogues

if HAS_THREADS:
    import threading


class Dialogues:
    """Starts dialogues. One for each app, used on one event loop.

    *limits* are for each dialogue, and for all together. *way* is how synchronous functions run; the best that works
    here, if none is given.
    """

    def __init__(self, limits: DialogueLimits | None = None, way: Way | None = None) -> None:
        self.limits = limits or DialogueLimits()
        self._way = way
        self._lock = threading.RLock() if HAS_THREADS else nullcontext()
        """Of all of them: each holds it for some microseconds. Reentrant, as an object's ``__del__`` may tell, too."""
        self._budget = Budget(self.limits.bytes_together, self._reclaim)
        self._all: set[Dialogue] = set()
        """Those whose code runs, or that can be read."""
        self._ended: dict[Dialogue, None] = {}
        """Those of them that have ended and can be read, in the order of their ends."""
        self._synchronous: set[Dialogue] = set()
        """Those whose code is synchronous, and runs."""
        self._closed = False

    def __len__(self) -> int:
        """How many count: those whose code runs, and those that can be read."""
        return len(self._all)

    def start(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        wrap: Callable[[Asker], Any] | None = None,
        doing: str | None = None,
        last_words: LastWords | None = None,
    ) -> Dialogue:
        """Call ``function(asker, *arguments)``, which may be synchronous or asynchronous, in a copy of this context.

        *wrap* makes what the function gets in place of the `Asker`; *doing* is what its author is told that it was;
        *last_words* makes the last messages, when it has ended. Nothing of the function has run on return.

        Raises `TooManyDialogues`; `DialogueOver` after `close`; and `InvalidOption` for a generator function.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidOption(
                f"{_name(function)} yields. A dialogue's function tells and asks by its first argument, "
                "and returns what comes of it."
            )
        if self._closed:
            raise DialogueOver("The app is closing, and begins nothing new.")
        way = None if runs_on_loop(function) else self._way_with_room()
        self._make_room()
        dialogue = Dialogue(doing or _name(function), self, self.limits, self._budget, self._lock, last_words)
        asker = Asker(dialogue)
        call = functools.partial(function, asker if wrap is None else wrap(asker), *arguments)
        try:
            dialogue.run(call, way)
        except RuntimeError as error:
            raise TooManyDialogues(
                f"The system has no thread for {dialogue.doing} ({error}). Try again later."
            ) from error
        self._all.add(dialogue)
        if way is not None:
            self._synchronous.add(dialogue)
        return dialogue

    async def close(self, reason: str = "the app is closing") -> None:
        """Cancel all, wait for their ends, and drop what they told. Nothing can be started any more."""
        self._closed = True
        for dialogue in list(self._all):
            dialogue.cancel(reason)
        await asyncio.gather(*(dialogue.wait() for dialogue in list(self._all)))
        with self._lock:
            ended = list(self._ended)
        for dialogue in ended:
            dialogue.forget()

    def _way_with_room(self) -> Way:
        if self._way is None:
            self._way = usual_way()
        if len(self._synchronous) >= self._way.most:
            raise TooManyDialogues(self._way.at_most)
        return self._way

    def _make_room(self) -> None:
        """Forget what ended first, if there is no room for one more."""
        while len(self._all) >= self.limits.most:
            with self._lock:
                dialogue = next(iter(self._ended), None)
            if dialogue is None:
                break
            dialogue.forget()
        if len(self._all) >= self.limits.most:
            raise TooManyDialogues(f"{self.limits.most:,} dialogues go on, and there may be no more. Try again later.")

    def _reclaim(self) -> bool:
        """Drop the messages of what ended first, on any thread; the lock is held."""
        dialogue = next(iter(self._ended), None)
        if dialogue is None:
            return False
        del self._ended[dialogue]
        dialogue.clear()
        dialogue.on_loop(dialogue.forget)
        return True

    # --- what dialogues tell their keeper ---------------------------------------------------------------------------

    def ended(self, dialogue: Dialogue) -> None:
        with self._lock:
            self._ended[dialogue] = None

    def returned(self, dialogue: Dialogue) -> None:
        self._synchronous.discard(dialogue)
        if dialogue.is_forgotten:
            self._all.discard(dialogue)

    def forgotten(self, dialogue: Dialogue) -> None:
        with self._lock:
            self._ended.pop(dialogue, None)
        if dialogue.has_returned:
            self._all.discard(dialogue)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
