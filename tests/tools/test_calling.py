"""A call while it runs: what of its progress is told, and how it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from portico.calls.sse import ClientLeft
from portico.tools.calling import Calls, Closed, Reporter
from portico.tools.tool import Tool, ToolCaller, ToolResult
from tests.tools.served import Patience, run
from tests.waiting import until

CALLER = ToolCaller(headers=[])


class Told:
    """A client that is told of progress, and reads at its own pace."""

    def __init__(self, reads: bool = True) -> None:
        self.all: list[tuple[float, float | None, str | None]] = []
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()

    async def __call__(self, done: float, total: float | None, message: str | None) -> None:
        await self.reads.wait()
        self.all.append((done, total, message))

    @property
    def done(self) -> list[float]:
        return [one[0] for one in self.all]


def test_the_newest_is_told_and_the_last_before_the_end() -> None:
    async def test() -> None:
        told = Told()
        report = Reporter(told)
        for step in range(1, 1001):
            report(step, 1000)
        await until(lambda: told.all)
        report(1001, 1001, "almost")
        report(1002, 1002, "done")
        await report.settle()
        assert told.all == [(1000, 1000, None), (1002, 1002, "done")]
        report(1003)
        await asyncio.sleep(0)
        assert told.done == [1000, 1002]

    run(test())


def test_progress_never_goes_back() -> None:
    async def test() -> None:
        told = Told()
        report = Reporter(told)
        for step in (5, 3, 5, 6):
            report(step)
            await until(lambda: report._newest is None)
        await report.settle()
        assert told.done == [5, 6]

    run(test())


def test_a_thread_may_report_as_often_as_it_likes() -> None:
    async def test() -> None:
        told = Told()
        report = Reporter(told)

        def work() -> None:
            for step in range(100_000):
                report(step)

        thread = threading.Thread(target=work)
        thread.start()
        await until(lambda: not thread.is_alive())
        await report.settle()
        assert told.done[-1] == 99_999
        assert len(told.done) < 1000

    run(test())


def test_a_client_that_does_not_read_keeps_nobody() -> None:
    async def test() -> None:
        told = Told(reads=False)
        report = Reporter(told)
        for step in range(100):
            report(step)
            await asyncio.sleep(0)
        told.reads.set()
        await report.settle()
        assert (len(told.done), told.done[-1]) == (2, 99)

    run(test())


def test_what_is_dropped_is_told_no_more() -> None:
    async def test() -> None:
        told = Told(reads=False)
        report = Reporter(told)
        report(1)
        await asyncio.sleep(0.01)
        report.drop()
        report(2)
        told.reads.set()
        await asyncio.sleep(0.01)
        assert told.all == []

    run(test())


def test_one_who_has_left_is_told_nothing_and_the_call_goes_on() -> None:
    async def test() -> None:
        asked = 0

        async def gone(done: float, total: float | None, message: str | None) -> None:
            nonlocal asked
            asked += 1
            raise ClientLeft

        report = Reporter(gone)
        report(1)
        await until(lambda: asked)
        report(2)
        await asyncio.sleep(0.01)
        assert asked == 1

    run(test())


def test_a_call_is_cancelled_once_and_cleans_up() -> None:
    async def test() -> None:
        patience = Patience()
        calls = Calls()
        waiting = asyncio.create_task(calls.run(Tool(name="wait", call=patience), {}, CALLER))
        await patience.began.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not patience.stopped.is_set()  # who waits does not wait for that
        await patience.stopped.wait()

    run(test())


def test_closing_cancels_what_runs_and_waits_for_its_end() -> None:
    async def test() -> None:
        patience = Patience()
        calls = Calls()
        waiting = asyncio.create_task(calls.run(Tool(name="wait", call=patience), {}, CALLER))
        await patience.began.wait()
        await calls.close()
        assert patience.stopped.is_set()
        with pytest.raises(Closed):
            await waiting

    run(test())


def test_a_call_that_cancels_itself_has_failed() -> None:
    async def itself(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        raise asyncio.CancelledError

    async def test() -> None:
        with pytest.raises(RuntimeError, match="cancelled by nobody but itself"):
            await Calls().run(Tool(name="bad", call=itself), {}, CALLER)

    run(test())


def test_what_a_call_raises_is_raised() -> None:
    async def bad(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        raise ValueError("no")

    async def test() -> None:
        with pytest.raises(ValueError, match="no"):
            await Calls().run(Tool(name="bad", call=bad), {}, CALLER)

    run(test())
