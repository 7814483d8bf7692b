"""Whatever a function raises is its own call's failure, and whatever it does, its caller can leave within a second."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from portico.errors import FunctionError
from portico.functions.calling import call, stream, validate
from portico.functions.failing import MOST_TOLD
from portico.functions.given import Cancel, Given, Progress
from portico.functions.signature import typed_function
from portico.functions.typed import FunctionOptions
from tests.waiting import until

SECOND = 1.0
"""How long it may take until a call has ended whose caller has left."""


class Unusual(BaseException):
    pass


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("even this")


class UnspeakableToo(ValueError):
    def __str__(self) -> str:
        raise KeyError("nor this")


def deep() -> None:
    deep()


def shapes(act: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """*act* inside a function of each shape."""

    def plain() -> Any:
        return act()

    def generator() -> Iterator[Any]:
        yield "first"
        act()

    def generator_at_once() -> Iterator[Any]:
        act()
        yield "never"

    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return act()

    async def coroutine_at_once() -> Any:
        return act()

    async def async_generator() -> AsyncIterator[Any]:
        yield "first"
        act()

    def gives_a_coroutine() -> Any:
        return coroutine()

    def gives_an_async_generator() -> Any:
        return async_generator()

    async def gives_a_generator() -> Any:
        return generator()

    class Iterating:
        def __next__(self) -> Any:
            return act()

    def gives_an_iterator() -> Any:
        return Iterating()

    return {name: shape for name, shape in locals().items() if callable(shape) and name not in ("act", "Iterating")}


SHAPES = list(shapes(lambda: None))

RAISED: list[Any] = [
    ValueError("no"),
    SystemExit(3),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
    StopAsyncIteration(),
    Unusual("odd"),
    Unspeakable(),
    UnspeakableToo(),
    MemoryError(),
    BaseExceptionGroup("several", [Unusual(), ValueError()]),
    TimeoutError(),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_what_a_function_raises_is_its_calls_failure(error: BaseException, shape: str) -> None:
    """The caller is told its type and message, the author has the exception, and the next call is as ever."""
    reported: list[BaseException] = []
    wrong = True

    def act() -> str:
        if wrong:
            raise error
        return "fine"

    typed = typed_function(shapes(act)[shape])

    async def main() -> None:
        nonlocal wrong
        for _ in range(2):
            with pytest.raises(FunctionError) as caught:
                await call(typed, [], {}, Given(report=reported.append))
            assert caught.value.__cause__ is reported[-1]
            assert "\n" not in str(caught.value)
        assert len(reported) == 2
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        wrong = False
        if shape != "gives_an_iterator":
            assert await call(typed, [], {})

    asyncio.run(main())


INLINE = [name for name in SHAPES if name != "gives_an_iterator"]


@pytest.mark.parametrize("shape", INLINE)
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_so_it_is_where_there_are_no_threads(error: BaseException, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a browser tab: one that never awaits runs on the event loop."""
    monkeypatch.setattr("portico.functions.calling.THREADS", False)
    test_what_a_function_raises_is_its_calls_failure(error, shape)


def test_inline_generators_are_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico.functions.calling.THREADS", False)
    seen: list[str] = []

    def counts() -> Iterator[int]:
        try:
            while True:
                seen.append("begun")
                yield 1
        finally:
            seen.append("ended")

    typed = typed_function(counts, options=FunctionOptions(concurrency=1))

    async def main() -> None:
        for _ in range(2):
            task = asyncio.create_task(call(typed, [], {}))
            await until(lambda: seen)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert seen[-1] == "ended"
            seen.clear()

    asyncio.run(main())


def test_a_stack_that_is_too_deep() -> None:
    for function in shapes(deep).values():
        with pytest.raises(FunctionError, match="RecursionError"):
            asyncio.run(call(typed_function(function), [], {}))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("one\ntwo\t  three", "ValueError: one two three"),
        ("", "ValueError"),
        ("\x1b[31mred\u202e", "ValueError: \\x1b[31mred\\u202e"),
        ("a\ud800b", "ValueError: a\\ud800b"),
    ],
    ids=["lines", "nothing", "terminal", "half a pair"],
)
def test_a_message_is_told_on_one_line(message: str, told: str) -> None:
    def fails() -> None:
        raise ValueError(message)

    with pytest.raises(FunctionError) as caught:
        asyncio.run(call(typed_function(fails), [], {}, Given(report=lambda error: None)))
    assert str(caught.value) == told


def test_a_long_message_is_cut() -> None:
    def fails() -> None:
        raise ValueError("x" * 10_000_000)

    with pytest.raises(FunctionError) as caught:
        asyncio.run(call(typed_function(fails), [], {}))
    assert len(caught.value.message) < MOST_TOLD + 20


def test_an_http_exception_passes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    from fastapi import HTTPException as OfFastAPI
    from starlette.exceptions import HTTPException

    for kind in (HTTPException, OfFastAPI):

        def fails(kind: Any = kind) -> None:
            raise kind(418, {"tea": 1} if kind is OfFastAPI else "tea", {"x-tea": "green"})

        with pytest.raises(FunctionError) as caught:
            asyncio.run(call(typed_function(fails), [], {}))
        assert (caught.value.status, caught.value.type, caught.value.headers) == (418, "", {"x-tea": "green"})
        assert caught.value.detail == ({"tea": 1} if kind is OfFastAPI else "tea")
    assert caplog.records == []


def test_without_anybody_who_is_told_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(FunctionError):
        asyncio.run(call(typed_function(fails), [], {}))
    assert [record.name for record in caplog.records] == ["portico.functions.failing"]
    assert "ValueError: no" in caplog.text


def test_a_report_that_fails_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ValueError("no")

    def report(error: BaseException) -> None:
        raise KeyError("report")

    with pytest.raises(FunctionError, match="ValueError: no"):
        asyncio.run(call(typed_function(fails), [], {}, Given(report=report)))
    assert "could not be reported" in caplog.text


async def left(function: Callable[..., Any], begun: Callable[[], Any], given: Given | None = None) -> float:
    """Call *function*, leave once *begun* is true; the seconds that the call took to end after that."""
    typed = typed_function(function)
    task = asyncio.create_task(call(typed, *validate(typed, {}), given or Given()))
    await until(begun)
    left = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - left


def test_a_caller_who_leaves_ends_a_coroutine() -> None:
    seen: list[str] = []

    async def waits() -> None:
        seen.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    assert asyncio.run(left(waits, lambda: seen)) < SECOND
    assert seen == ["begun", "ended"]


def test_a_caller_who_leaves_closes_generators() -> None:
    seen: list[str] = []

    def counts() -> Iterator[int]:
        try:
            while True:
                time.sleep(0.001)
                seen.append("begun")
                yield 1
        finally:
            seen.append("ended")

    async def counts_too() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                seen.append("begun")
                yield 1
        finally:
            seen.append("ended")

    async def main() -> None:
        for function in (counts, counts_too):
            seen.clear()
            assert await left(function, lambda: seen) < SECOND
            await until(lambda: seen[-1] == "ended", within=SECOND)

    asyncio.run(main())


def test_a_function_that_hangs_keeps_no_caller_and_is_told() -> None:
    release, seen = threading.Event(), []

    def hangs(cancel: Cancel) -> None:
        seen.append(cancel)
        release.wait()

    async def main() -> None:
        assert await left(hangs, lambda: seen) < SECOND
        assert seen[0].is_set()

    try:
        asyncio.run(main())
    finally:
        release.set()


def test_a_function_that_says_how_far_it_is_ends_when_its_caller_has_left(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def works(progress: Progress) -> None:
        try:
            while True:
                progress(0.5)
                seen.append("begun")
                time.sleep(0.001)
        finally:
            seen.append("ended")

    def works_in_pieces(progress: Progress) -> Iterator[int]:
        works(progress)
        yield 1

    async def main() -> None:
        for function in (works, works_in_pieces):
            seen.clear()
            assert await left(function, lambda: seen) < SECOND
            await until(lambda: seen[-1] == "ended", within=SECOND)

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert caplog.records == []


def test_what_fails_as_its_caller_leaves_is_still_for_the_author() -> None:
    seen: list[str] = []
    reported: list[BaseException] = []

    async def fails_at_last() -> None:
        seen.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("at last")

    asyncio.run(left(fails_at_last, lambda: seen, Given(report=reported.append)))
    assert [type(error) for error in reported] == [KeyError]


def test_threads_that_a_function_leaves_keep_no_caller() -> None:
    release = threading.Event()

    def leaves_a_thread() -> str:
        threading.Thread(target=release.wait, daemon=True).start()
        return "done"

    try:
        assert asyncio.run(call(typed_function(leaves_a_thread), [], {})) == "done"
    finally:
        release.set()


WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.mark.parametrize("shape", [name for name in SHAPES if name not in ("gives_an_iterator", "generator_at_once")])
def test_context_variables_are_the_callers(shape: str) -> None:
    seen: list[str] = []
    typed = typed_function(shapes(lambda: seen.append(WHO.get()))[shape])

    async def one(name: str) -> None:
        WHO.set(name)
        await call(typed, [], {})

    async def main() -> None:
        await asyncio.gather(*(asyncio.create_task(one(name)) for name in ("ada", "bob", "eve")))

    asyncio.run(main())
    assert sorted(seen) == ["ada", "bob", "eve"]


class Keeping:
    """A sink that keeps what it gets, and fails where it is told to."""

    done = False

    def __init__(self, fails_on: Any = None, slow: bool = False) -> None:
        self.items: list[Any] = []
        self.finals: list[Any] = []
        self.frames: list[bytes] = []
        self._fails_on = fails_on

    def feed(self, item: Any) -> bytes:
        if item == self._fails_on:
            raise TypeError("cannot be written")
        self.items.append(item)
        return b"frame"

    def final(self, value: Any) -> None:
        if value == self._fails_on is not None:
            raise TypeError("cannot be written")
        self.finals.append(value)

    async def write(self, frame: bytes) -> None:
        if self._fails_on == "write":
            raise OSError("the visitor is gone")
        self.frames.append(frame)


def whole() -> int:
    return 7


async def whole_too() -> None:
    return None


def pieces() -> Iterator[int]:
    yield 1
    yield 2
    return 3


async def pieces_too() -> AsyncIterator[int]:
    yield 1
    yield 2


def gives_pieces_too() -> Any:
    return pieces_too()


def gives_a_list() -> list[int]:
    return [1, 2]


@pytest.mark.parametrize(
    ("function", "items", "finals"),
    [
        (whole, [], [7]),
        (whole_too, [], [None]),
        (pieces, [1, 2], [3]),
        (pieces_too, [1, 2], []),
        (gives_pieces_too, [1, 2], []),
        (gives_a_list, [], [[1, 2]]),
    ],
)
def test_a_stream_tells_items_from_results(function: Any, items: list[Any], finals: list[Any]) -> None:
    sink = Keeping()
    asyncio.run(stream(typed_function(function), [], {}, Given(), sink))
    assert (sink.items, sink.finals, len(sink.frames)) == (items, finals, len(items))


@pytest.mark.parametrize(
    ("function", "result"),
    [(whole, 7), (whole_too, None), (pieces, [1, 2]), (pieces_too, [1, 2]), (gives_a_list, [1, 2])],
)
def test_a_call_gives_items_as_a_list(function: Any, result: Any) -> None:
    assert asyncio.run(call(typed_function(function), [], {})) == result


def test_a_generator_that_yields_nothing_gives_what_it_returns() -> None:
    def returns() -> Iterator[int]:
        yield from ()
        return "end"

    def ends() -> Iterator[int]:
        yield from ()

    assert asyncio.run(call(typed_function(returns), [], {})) == "end"
    assert asyncio.run(call(typed_function(ends), [], {})) == []


@pytest.mark.parametrize(
    ("function", "fails_on", "kind"),
    [
        (whole, 7, TypeError),
        (pieces, 2, TypeError),
        (pieces_too, 2, TypeError),
        (pieces, 3, TypeError),
        (pieces, "write", OSError),
        (pieces_too, "write", OSError),
    ],
)
def test_what_a_sink_raises_is_no_failure_of_the_function(function: Any, fails_on: Any, kind: type[Exception]) -> None:
    reported: list[BaseException] = []
    with pytest.raises(kind):
        asyncio.run(stream(typed_function(function), [], {}, Given(report=reported.append), Keeping(fails_on)))
    assert reported == []
