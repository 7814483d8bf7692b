"""User code that tells and asks, written once and run in each way; and those who read and answer it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar

from portico.calls.asker import Asker
from portico.calls.dialogue import Dialogue
from portico.calls.dialogue_limits import DialogueLimits
from portico.calls.dialogue_runners import Greenlets, Threads, Way
from portico.calls.dialogues import Dialogues
from portico.calls.owner import OWNER
from portico.calls.waiting import HAS_THREADS

T = TypeVar("T")

WAYS = ("async", "greenlets", "threads") if HAS_THREADS else ("async",)
"""In a tab synchronous code needs JSPI, which Node.js has not: that way is tested in tests/browser."""

Code = Callable[..., Generator[Any, Any, Any]]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine, for a bounded time."""

    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await main

    return asyncio.run(bounded())


def dialogues(way: str, **limits: Any) -> Dialogues:
    """Those that run synchronous code in *way*."""
    ways: dict[str, Way | None] = {"async": None}
    if HAS_THREADS:
        ways |= {"greenlets": Greenlets(), "one thread": Greenlets(1), "threads": Threads()}
    return Dialogues(DialogueLimits(**limits), ways[way])


def function(way: str, code: Code) -> Callable[..., Any]:
    """*code* as an asynchronous or a synchronous function. It yields what it asks, and gets the answer."""

    @functools.wraps(code, assigned=("__name__", "__qualname__"), updated=())
    async def on_loop(asker: Asker, *arguments: Any) -> Any:
        steps = code(asker, *arguments)
        step = functools.partial(next, steps)
        while True:
            try:
                asked = step()
            except StopIteration as end:
                return end.value
            try:
                step = functools.partial(steps.send, await asked)
            except BaseException as error:  # noqa: BLE001 - it is the code's
                step = functools.partial(steps.throw, error)

    def elsewhere(asker: Asker, *arguments: Any) -> Any:
        steps, answer = code(asker, *arguments), None
        while True:
            try:
                answer = steps.send(answer)
            except StopIteration as end:
                return end.value

    elsewhere.__qualname__ = code.__qualname__
    return on_loop if way == "async" else elsewhere


async def heard(dialogue: Dialogue, content: str) -> str:
    """Read *dialogue* until it says *content*; the message's id."""
    with dialogue.read() as messages:
        async for message in messages:
            if message.content == content:
                return message.id
    raise AssertionError(f"the dialogue ended and did not say {content!r}: {dialogue.outcome}")


async def said(dialogue: Dialogue, after: str | None = None) -> list[str | bytes]:
    """All that *dialogue* says until its end."""
    with dialogue.read(after) as messages:
        return [message.content async for message in messages]


class Author:
    """Takes what is reported to the author of an app."""

    context: Context | None = None

    def __init__(self) -> None:
        self.told: list[tuple[str, BaseException]] = []

    def report(self, doing: str, error: BaseException) -> None:
        self.told.append((doing, error))

    def printed(self, text: str) -> None: ...


@contextmanager
def author(one: Author | None = None) -> Iterator[Author]:
    """Let the code that is started in here be one author's."""
    one = one or Author()
    token = OWNER.set(one)
    try:
        yield one
    finally:
        OWNER.reset(token)
