"""``concurrency=`` bounds the calls of a function, whatever its shape, and until its code has really ended."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from portico.errors import Busy, FunctionError, UnusableOutput
from portico.functions.calling import call, stream, succeeding
from portico.functions.given import Given
from portico.functions.line import MOST_LEFT, MOST_WAITING, CallLine
from portico.functions.mark import tool
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions, TypedFunction
from tests.waiting import until


class Work:
    """Functions of each shape that count how many of them run."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0
        self._lock = threading.Lock()

    def _enter(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def _leave(self) -> None:
        with self._lock:
            self.now -= 1
            self.done += 1

    def plain(self) -> None:
        self._enter()
        time.sleep(0.002)
        self._leave()

    def generator(self) -> Iterator[int]:
        self._enter()
        try:
            for number in range(3):
                time.sleep(0.001)
                yield number
        finally:
            self._leave()

    async def coroutine(self) -> None:
        self._enter()
        await asyncio.sleep(0.002)
        self._leave()

    async def async_generator(self) -> AsyncIterator[int]:
        self._enter()
        try:
            for number in range(3):
                await asyncio.sleep(0.001)
                yield number
        finally:
            self._leave()

    def gives_a_coroutine(self) -> Any:
        return self.coroutine()

    def fails(self) -> None:
        self.plain()
        raise ValueError("no")

    async def fails_too(self) -> None:
        await self.coroutine()
        raise SystemExit

    def fails_midway(self) -> Iterator[int]:
        yield from self.generator()
        raise ValueError("no")


SHAPES = ["plain", "generator", "coroutine", "async_generator", "gives_a_coroutine"]
FAILING = ["fails", "fails_too", "fails_midway"]


def limited(function: Any, most: int = 2) -> TypedFunction:
    return typed_function(function, "work", FunctionOptions(concurrency=most))


@pytest.mark.parametrize("shape", SHAPES + FAILING)
def test_so_many_run_at_a_time(shape: str) -> None:
    work = Work()
    typed = limited(getattr(work, shape))
    quiet = Given(report=lambda error: None)

    async def main() -> None:
        results = await asyncio.gather(*(call(typed, [], {}, quiet) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(result, FunctionError) for result in results) is (shape in FAILING), results
        assert work.most <= 2
        assert work.done == 20
        assert typed.line is not None
        await until(lambda: (typed.line.running, typed.line.waiting) == (0, 0))  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_call_and_a_stream_wait_in_one_line() -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    class Nowhere:
        done = False

        def feed(self, item: Any) -> None: ...

        final = feed

        async def write(self, frame: bytes) -> None: ...

    async def main() -> None:
        typed = limited(waits, 1)
        line = typed.line
        assert line is not None
        one = asyncio.create_task(call(typed, [], {}))
        other = asyncio.create_task(stream(typed, [], {}, Given(), Nowhere()))
        await until(lambda: (line.running, line.waiting) == (1, 1))
        gate.set()
        await asyncio.gather(one, other)

    asyncio.run(main())


def test_one_that_leaves_the_line_leaves_no_gap_and_a_full_line_refuses() -> None:
    gate = threading.Event()
    begun = 0

    def waits() -> None:
        nonlocal begun
        begun += 1
        gate.wait()

    async def main() -> None:
        typed = limited(waits, 1)
        line = typed.line
        assert line is not None
        tasks = [asyncio.create_task(call(typed, [], {})) for _ in range(1 + MOST_WAITING)]
        await until(lambda: line.waiting == MOST_WAITING)
        with pytest.raises(Busy) as caught:
            await call(typed, [], {})
        assert (caught.value.status, caught.value.retry_after > 0) == (429, True)
        for task in tasks[1:-1]:
            task.cancel()
        await until(lambda: line.waiting == 1)
        gate.set()
        assert await tasks[0] is await tasks[-1] is None
        await until(lambda: (line.running, line.waiting, begun) == (0, 0, 2))

    asyncio.run(main())


@pytest.mark.parametrize("generates", [False, True])
def test_a_thread_that_goes_on_after_its_caller_left_has_its_turn_until_it_ends(generates: bool) -> None:
    gates = [threading.Event(), threading.Event()]
    begun: list[int] = []

    def hangs(number: int) -> None:
        begun.append(number)
        gates[number].wait()

    def hangs_too(number: int) -> Iterator[int]:
        yield 0
        hangs(number)

    typed = limited(hangs_too if generates else hangs, 1)
    line = typed.line

    async def main() -> None:
        assert line is not None
        first = asyncio.create_task(call(typed, [], {"number": 0}))
        await until(lambda: begun == [0])
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(call(typed, [], {"number": 1}))
        await until(lambda: line.waiting == 1)
        await asyncio.sleep(0)
        assert begun == [0]
        gates[0].set()
        await until(lambda: begun == [0, 1])
        gates[1].set()
        await second
        await until(lambda: line.running == 0)

    try:
        asyncio.run(main())
    finally:
        for gate in gates:
            gate.set()


@pytest.mark.parametrize("generates", [False, True])
def test_threads_whose_callers_left_are_bounded_where_calls_are_not(generates: bool) -> None:
    """Who calls and leaves, again and again, does not fill the process with threads."""
    gate = threading.Event()
    begun = 0

    def hangs() -> None:
        nonlocal begun
        begun += 1
        gate.wait()

    def hangs_too() -> Iterator[int]:
        yield 0
        hangs()

    typed = typed_function(hangs_too if generates else hangs)
    line = typed.line

    async def main() -> None:
        for number in range(MOST_LEFT):
            task = asyncio.create_task(call(typed, [], {}))
            await until(lambda number=number: begun == number + 1)  # type: ignore[misc]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert line.left == MOST_LEFT
        with pytest.raises(Busy, match="whose callers have left"):
            await call(typed, [], {})
        gate.set()
        await until(lambda: line.left == 0)
        assert await call(typed, [], {}) == ([0] if generates else None)

    try:
        asyncio.run(main())
    finally:
        gate.set()


def test_an_endless_generator_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico.functions.results.MOST_ITEMS", 1000)
    closed = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    async def endless_too() -> AsyncIterator[int]:
        for item in endless():
            yield item

    def long() -> Iterator[int]:
        yield from range(1000)

    async def main() -> None:
        for function in (endless, endless_too):
            with pytest.raises(UnusableOutput, match="more than 1,000 items"):
                await call(typed_function(function), [], {})
        await until(lambda: len(closed) == 2)
        assert len(await call(typed_function(long), [], {})) == 1000

    asyncio.run(main())


def test_leaving_at_each_moment_loses_no_turn() -> None:
    """However many leave, and whenever, all turns are back at the end."""

    async def main() -> None:
        work = Work()
        for shape in SHAPES:
            typed = limited(getattr(work, shape), 2)
            line = typed.line
            assert line is not None
            tasks = []
            for number in range(40):
                tasks.append(asyncio.create_task(call(typed, [], {})))
                await asyncio.sleep(0.0003 * (number % 4))
                if number % 3 == 0:
                    tasks[number // 2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda line=line: (line.running, line.waiting) == (0, 0))  # type: ignore[misc]
            assert await asyncio.wait_for(call(typed, [], {}), 5) in (None, [0, 1, 2])

    asyncio.run(main())


def test_a_function_in_the_place_of_another_goes_on_with_its_line() -> None:
    gate = asyncio.Event()

    async def waits() -> str:
        await gate.wait()
        return "old"

    async def new() -> str:
        return "new"

    async def main() -> None:
        old = limited(waits, 1)
        other = succeeding(limited(new, 2), old)
        assert other.line is old.line is not None
        running = [asyncio.create_task(call(old, [], {})) for _ in range(2)]
        await until(lambda: old.line is not None and old.line.running == 2)
        later = asyncio.create_task(call(other, [], {}))
        await until(lambda: other.line is not None and other.line.waiting == 1)
        gate.set()
        assert await asyncio.gather(*running, later) == ["old", "old", "new"]
        free = typed_function(new, "work")
        assert free.line.most is None
        assert succeeding(free, old) is free
        assert succeeding(old, free) is old

    asyncio.run(main())


def test_a_line_goes_on_after_a_loop_that_is_gone() -> None:
    """Who waits on a loop that has been closed does not keep those of another from their turns."""
    line = CallLine(1)
    gone = asyncio.new_event_loop()
    gone.run_until_complete(line.enter())
    waiting = gone.create_task(line.enter())
    gone.run_until_complete(asyncio.sleep(0))
    gone.close()

    async def main() -> None:
        turn = asyncio.create_task(line.enter())
        await until(lambda: line.waiting == 2)
        line.leave()
        await turn
        assert (line.running, line.waiting) == (1, 0)

    asyncio.run(main())
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    waiting.get_coro().close()  # type: ignore[union-attr]


def test_the_mark_bounds_it() -> None:
    @tool(concurrency=3)
    def function() -> None: ...

    typed = typed_function(function)
    assert typed.line is not None
    assert typed.line.most == 3
