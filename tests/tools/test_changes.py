"""Who is told of a change, and how many may listen."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from portico.tools import changes as limits
from portico.tools.changes import Changes, TooManyListeners
from tests.tools.served import run


def test_changes_that_nobody_has_looked_at_are_one() -> None:
    async def test() -> None:
        changes = Changes()
        with changes.listening("ada") as listener:
            for _ in range(1000):
                changes.tell()
            assert await listener.news()
            waiting = asyncio.create_task(listener.news())
            await asyncio.sleep(0)
            assert not waiting.done()
            changes.tell()
            assert await waiting

    run(test())


def test_all_are_told_and_those_who_have_gone_are_not_kept() -> None:
    async def test() -> None:
        changes = Changes()
        with changes.listening("ada") as one, changes.listening("bob") as other:
            changes.tell()
            assert await one.news()
            assert await other.news()
            assert len(changes) == 2
        assert len(changes) == 0

    run(test())


def test_closing_ends_each_stream() -> None:
    async def test() -> None:
        changes = Changes()
        with changes.listening("ada") as listener:
            waiting = asyncio.create_task(listener.news())
            await asyncio.sleep(0)
            changes.close()
            assert not await waiting

    run(test())


def test_a_caller_may_listen_so_often_and_all_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LISTENERS", 3)
    monkeypatch.setattr(limits, "MAX_LISTENERS_OF_CALLER", 2)

    async def test() -> None:
        changes = Changes()
        with ExitStack() as open:
            for _ in range(2):
                open.enter_context(changes.listening("ada"))
            with pytest.raises(TooManyListeners, match="You listen"):
                open.enter_context(changes.listening("ada"))
            open.enter_context(changes.listening("bob"))
            with pytest.raises(TooManyListeners, match="Too many clients"):
                open.enter_context(changes.listening("cat"))
        with changes.listening("ada"):  # it counts no more once it has ended
            assert len(changes) == 1

    run(test())
