"""The thread of a synchronous function: what comes over from it, in which order, how far ahead it goes, how it ends."""

import asyncio
import contextvars
import threading

import pytest

from portico.calls.iterating import NOTHING, iterator_of
from portico.calls.pump import Pump
from tests.waiting import until


async def all_of(pump):
    found = []
    while (items := await pump.next()) is not None:
        found += items
    return found


def test_items_come_in_order_and_the_return_value_stands_by_itself():
    def call():
        yield from range(1000)
        return "end"

    async def run():
        pump = Pump(call, iterator_of)
        assert await all_of(pump) == list(range(1000))
        assert pump.value == "end"
        assert pump.produced is NOTHING

    asyncio.run(run())


@pytest.mark.parametrize("value", ["text", None, {"a": 1}, 0])
def test_what_is_not_iterated_is_handed_over_as_it_is(value):
    async def run():
        pump = Pump(lambda: value, iterator_of)
        assert await pump.next() is None
        assert pump.produced is value

    asyncio.run(run())


def test_whoever_runs_it_says_what_is_iterated():
    async def run():
        pump = Pump(lambda: [1, 2], lambda produced: None)
        assert await pump.next() is None
        assert pump.produced == [1, 2]

    asyncio.run(run())


def test_it_is_never_more_than_its_bound_ahead():
    given = []

    def call():
        while True:
            given.append(1)
            yield 1

    async def run():
        pump = Pump(call, iterator_of, ahead=8)
        taken = 0
        for _ in range(20):
            await until(lambda taken=taken: len(given) > taken)
            taken += len(await pump.next())
            assert len(given) <= taken + 8 + 1  # and the one that waits to be put down
        pump.close()

    asyncio.run(run())


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("after", [0, 3])
def test_what_it_raises_comes_after_what_it_gave(error, after):
    def call():
        yield from range(after)
        raise error

    async def run():
        pump = Pump(call, iterator_of)
        found = []
        while len(found) < after:
            found += await pump.next()
        with pytest.raises(error):
            await pump.next()
        assert found == list(range(after))

    asyncio.run(run())


def test_the_iterator_is_closed_on_its_own_thread():
    threads = []

    def call():
        threads.append(threading.current_thread())
        try:
            while True:
                yield 1
        finally:
            threads.append(threading.current_thread())

    async def run():
        pump = Pump(call, iterator_of)
        await pump.next()
        pump.close()
        await until(lambda: len(threads) == 2)
        assert threads[0] is threads[1] is not threading.current_thread()

    asyncio.run(run())


def test_what_a_closing_raises_is_logged(caplog):
    def call():
        try:
            while True:
                yield 1
        finally:
            raise ValueError("while closing")

    async def run():
        pump = Pump(call, iterator_of)
        await pump.next()
        pump.close()
        await until(lambda: "while it was being closed" in caplog.text)

    asyncio.run(run())
    assert "while closing" in caplog.text


VARIABLE = contextvars.ContextVar("variable", default="none")


def test_context_variables_are_carried_over():
    async def run():
        VARIABLE.set("ours")
        pump = Pump(lambda: VARIABLE.get(), iterator_of)
        await pump.next()
        assert pump.produced == "ours"

    asyncio.run(run())
