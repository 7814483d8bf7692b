"""What is iterated of the things that code returns, and how it is closed."""

import asyncio
from dataclasses import dataclass

import pytest

from portico.calls.iterating import close_async, close_iterator, iterator_of


@dataclass
class Record:
    a: int = 1

    def __iter__(self):
        return iter([self.a])


class Dumped:
    """As pydantic's models, which can be iterated, and are one thing."""

    def model_dump(self):
        return {}

    def __iter__(self):
        return iter(())


class AnyName:
    """As a mock, or a client that makes a method of any name: the class has none of them."""

    def __getattr__(self, name):
        return lambda: iter(())


@pytest.mark.parametrize(
    "one",
    ["text", b"x", bytearray(b"x"), memoryview(b"x"), {"a": 1}, 7, None, Record(), Dumped(), AnyName(), list, str],
)
def test_one_single_item(one):
    assert iterator_of(one) is None


@pytest.mark.parametrize(
    "several", [[1, 2], (1, 2), range(1, 3), {1: "a", 2: "b"}.keys(), (n for n in (1, 2)), iter([1, 2])]
)
def test_several_items(several):
    assert list(iterator_of(several)) == [1, 2]


class Source:
    """As an SDK's stream: what iterates it is another object, and both want to be closed."""

    def __init__(self):
        self.closed = []

    def __iter__(self):
        def items():
            try:
                yield 1
                yield 2
            finally:
                self.closed.append("iterator")

        return items()

    def close(self):
        self.closed.append("source")


def test_an_iterator_is_closed_and_what_it_was_made_of():
    source = Source()
    iterator = iterator_of(source)
    next(iterator)
    close_iterator(iterator, source)
    assert source.closed == ["iterator", "source"]


def test_an_iterator_that_is_its_own_source_is_closed_once():
    closed = []

    class Own:
        def __next__(self):
            return 1

        def close(self):
            closed.append(1)

    own = Own()
    close_iterator(iterator_of(own), own)
    assert closed == [1]


def test_what_cannot_be_closed_is_left():
    close_iterator(iter([1]), [1])


@pytest.mark.parametrize("name", ["aclose", "close"])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_async_one_is_closed_by_what_it_has(name, asynchronous):
    closed = []

    async def later():
        closed.append("later")

    thing = type("Thing", (), {name: lambda self: later() if asynchronous else closed.append("now")})()
    asyncio.run(close_async(thing))
    assert closed == ["later" if asynchronous else "now"]
