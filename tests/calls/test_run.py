"""A function is run whatever its shape, on a thread or inline; what it raises is its own, and it is closed."""

import asyncio
import contextlib
import contextvars
import functools
import threading

import pytest

from portico.calls.run import LEFT, THREADS, Cancel, Items, drive, runs_on_loop
from tests.waiting import until

BOTH = pytest.mark.parametrize("threads", [True, False], ids=["on-a-thread", "inline"])


async def items_of(function, threads=THREADS, **options):
    sink = Items()
    await drive(function, runs_on_loop(function), sink, threads=threads, **options)
    return sink.items


def generator():
    yield 1
    yield 2


async def async_generator():
    yield 1
    yield 2


async def coroutine():
    return 7


async def gives_a_generator():
    return generator()


async def gives_an_async_generator():
    return async_generator()


class Callable:
    def __call__(self):
        return iter([1, 2])


class AsyncCallable:
    async def __call__(self):
        return [1, 2]


@BOTH
@pytest.mark.parametrize(
    ("function", "items"),
    [
        (generator, [1, 2]),
        (async_generator, [1, 2]),
        (coroutine, [7]),
        (gives_a_generator, [1, 2]),
        (gives_an_async_generator, [1, 2]),
        (Callable(), [1, 2]),
        (AsyncCallable(), [1, 2]),
        (functools.partial(functools.partial(async_generator)), [1, 2]),
        (lambda: 7, [7]),
        (lambda: None, [None]),
        (lambda: [1, 2], [1, 2]),
        (lambda: {"a": 1}, [{"a": 1}]),
        (lambda: coroutine(), [7]),
        (lambda: gives_a_generator(), [1, 2]),
        (lambda: async_generator(), [1, 2]),
        (list, []),
    ],
)
def test_every_shape(function, items, threads):
    assert asyncio.run(items_of(function, threads)) == items


@BOTH
def test_the_room_says_what_is_iterated(threads):
    """As for a typed function, whose list is one value, and whose generator is a stream."""

    def generators_alone(produced):
        return produced if hasattr(type(produced), "__next__") else None

    async def gives_a_list():
        return [1, 2]

    async def run():
        for function in (lambda: [1, 2], gives_a_list):
            assert await items_of(function, threads, iterate=generators_alone) == [[1, 2]]
        for function in (generator, gives_a_generator):
            assert await items_of(function, threads, iterate=generators_alone) == [1, 2]

    asyncio.run(run())


@BOTH
def test_a_generators_return_value_is_its_own(threads):
    def function():
        yield 1
        return "end"

    assert asyncio.run(items_of(function, threads)) == [1, "end"]


@BOTH
@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("shape", ["plain", "generator", "coroutine", "async generator"])
def test_whatever_it_raises_is_the_calls_failure(error, shape, threads):
    def plain():
        raise error

    def later():
        yield 1
        raise error

    async def alone():
        raise error

    async def streamed():
        yield 1
        raise error

    function = {"plain": plain, "generator": later, "coroutine": alone, "async generator": streamed}[shape]

    async def run():
        with pytest.raises((ValueError, SystemExit, RuntimeError)) as caught:
            await items_of(function, threads)
        task = asyncio.current_task()
        assert task.cancelling() == 0
        return caught.value

    raised = asyncio.run(run())
    if error in (ValueError, SystemExit):
        assert type(raised) is error
    else:
        assert isinstance(raised, RuntimeError)


class Sink(Items):
    """One that has had enough after the first item."""

    @property
    def done(self):
        return bool(self.items)


class Failing(Items):
    def feed(self, item):
        raise ValueError("the sink's")


@BOTH
@pytest.mark.parametrize("sink", [Sink, Failing])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_generator_is_closed_when_nothing_more_is_wanted(sink, asynchronous, threads):
    closed = threading.Event()

    def function():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def async_function():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def run():
        call = async_function if asynchronous else function
        running = drive(call, asynchronous, sink(), threads=threads)
        if sink is Failing:
            with pytest.raises(ValueError, match="the sink's"):
                await running
        else:
            await running
        await until(closed.is_set)

    asyncio.run(run())


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_cancelled_call_closes_its_generator(asynchronous):
    closed = threading.Event()
    begun = threading.Event()
    go_on = threading.Event()

    def function():
        try:
            begun.set()
            yield 1
            go_on.wait(20)
            yield 2
        finally:
            closed.set()

    async def async_function():
        try:
            begun.set()
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def run():
        task = asyncio.ensure_future(items_of(async_function if asynchronous else function))
        await until(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await until(closed.is_set)

    asyncio.run(run())


VARIABLE = contextvars.ContextVar("variable", default="none")


@BOTH
def test_context_variables_are_carried_to_it(threads):
    async def run():
        VARIABLE.set("ours")
        for function in (lambda: VARIABLE.get(), lambda: (VARIABLE.get() for _ in range(1))):
            assert await items_of(function, threads) == ["ours"]

    asyncio.run(run())


def test_one_that_never_awaits_lets_the_loop_turn():
    async def run():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def function():
            while turns < 5:
                yield 1

        counting = asyncio.ensure_future(count())
        await items_of(function)
        counting.cancel()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_what_runs_on_the_loop():
    class Plain:
        def method(self):
            """Nothing."""

        async def async_method(self):
            """Nothing."""

    for function in (coroutine, async_generator, AsyncCallable(), Plain().async_method, functools.partial(coroutine)):
        assert runs_on_loop(function), function
    for function in (generator, Callable(), Plain().method, Plain, print, functools.partial(generator)):
        assert not runs_on_loop(function), function


def test_cancel_tells_all_who_ask():
    async def run():
        cancel = Cancel()
        assert not cancel
        waiting = [asyncio.ensure_future(cancel.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        cancel.set()
        await waiting[1]
        await cancel.wait()
        assert cancel.is_set()

    asyncio.run(run())


def test_cancel_calls_its_listeners_at_least_once():
    cancel, heard = Cancel(), []
    first, second = lambda: heard.append("first"), lambda: heard.append("second")
    cancel.listen(first)
    cancel.listen(second)
    cancel.ignore(second)
    assert heard == []
    cancel.set()
    assert heard == ["first"]
    cancel.listen(second)
    assert heard == ["first", "second"], "it is set already"


@BOTH
def test_a_call_that_ended_well_is_not_left(threads):
    seen = []

    def function():
        seen.append(LEFT.get())
        yield 1

    assert asyncio.run(items_of(function, threads)) == [1]
    assert not seen[0].is_set()
    assert LEFT.get() is None


@BOTH
@pytest.mark.parametrize("sink", [Sink, Failing])
def test_a_call_is_left_once_nothing_more_is_wanted_of_it(sink, threads):
    seen = []

    def function():
        seen.append(LEFT.get())
        yield from (1, 2, 3)

    async def run():
        with contextlib.suppress(ValueError):
            await drive(function, False, sink(), threads=threads)

    asyncio.run(run())
    assert seen[0].is_set()


def test_a_cancelled_call_is_left_before_its_thread_ends():
    left, begun = threading.Event(), threading.Event()

    def function():
        LEFT.get().listen(left.set)
        begun.set()
        assert left.wait(20)

    async def run():
        task = asyncio.ensure_future(items_of(function))
        await until(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.is_set()

    asyncio.run(run())


def test_a_call_within_a_call_is_left_by_itself():
    seen = []

    async def inner():
        seen.append(LEFT.get())
        raise ValueError("the inner one's")

    async def outer():
        seen.append(LEFT.get())
        with contextlib.suppress(ValueError):
            await items_of(inner)
        assert LEFT.get() is seen[0]

    asyncio.run(items_of(outer))
    assert [left.is_set() for left in seen] == [False, True]


@BOTH
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_around_a_call_is_around_all_of_it(fails, threads):
    order = []

    @contextlib.contextmanager
    def around():
        before = VARIABLE.set("around")
        try:
            yield
        except ValueError:
            order.append("failed")
            raise
        finally:
            order.append("after")
            VARIABLE.reset(before)

    def function():
        order.append(VARIABLE.get())
        yield 1
        if fails:
            raise ValueError("its own")
        order.append("end")

    async def run():
        with contextlib.suppress(ValueError):
            assert await items_of(function, threads, around=around) == [1]

    asyncio.run(run())
    assert order == (["around", "failed", "after"] if fails else ["around", "end", "after"])
    assert VARIABLE.get() == "none"
