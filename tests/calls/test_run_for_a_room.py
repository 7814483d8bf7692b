"""What a room that runs functions needs of `portico.calls`, by an app made of it alone: JSON in, JSON or events out.

Its errors look as it wants, and nothing in calls/ speaks for another room.
"""

import asyncio
import re
from pathlib import Path

import pytest

import portico.calls
from portico.calls.body import parse, read_body
from portico.calls.exchange import Exchange, Leaving
from portico.calls.run import Items, drive, runs_on_loop
from portico.calls.sse import data, deliver
from portico.errors import PorticoError, UnusableRequest
from tests.models.visitor import ask, visit
from tests.waiting import until


def rows_alone(produced):
    """A generator is a stream; a list is one value."""
    return produced if hasattr(type(produced), "__next__") else None


class Room:
    """``POST /<name>`` with the arguments as JSON; what it yields comes as events, to whom asks for them."""

    def __init__(self, **functions):
        self.functions = functions
        self.reported = []

    async def __call__(self, scope, receive, send):
        exchange = Exchange(scope, receive, send, [])
        try:
            arguments = parse(await read_body(receive, exchange.headers, 1000, exchange.scope))
        except UnusableRequest as error:
            problem = {"title": str(error), "where": error.field}
            await exchange.json(problem, error.status, list(error.headers))
            return
        function = self.functions[scope["path"].strip("/")]
        run = Run(self, exchange, function, arguments)
        async with Leaving(receive):
            if exchange.headers.get("accept") == "text/event-stream":
                await deliver(exchange, run, 10)
            else:
                await run.whole()


class Run:
    """One call: the sink of its items, and the answer that they are written into."""

    done = False

    def __init__(self, room, exchange, function, arguments):
        self.room = room
        self.exchange = exchange
        self.on_loop = runs_on_loop(function)
        self.call = lambda: function(**arguments)

    async def whole(self):
        sink = Items()
        try:
            await drive(self.call, self.on_loop, sink, iterate=rows_alone)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a function may raise anything
            await self.refuse(self.failed(error))
            return
        await self.exchange.json(sink.items[0] if len(sink.items) == 1 else sink.items)

    def opening(self):
        return []

    async def make(self, write):
        self.write = write
        await drive(self.call, self.on_loop, self, iterate=rows_alone)
        return [b"event: end\ndata:\n\n"]

    def feed(self, item):
        return data(item)

    final = feed

    def failed(self, error):
        self.room.reported.append(error)
        return PorticoError("it failed")

    async def refuse(self, error):
        await self.exchange.json({"title": str(error)}, error.status)

    def failure(self, error):
        return [f"event: error\ndata: {error}\n\n".encode()]

    def beat(self):
        return b":\n\n"


def add(a, b):
    return a + b


async def add_later(a, b):
    return a + b


def count(to):
    yield from range(to)


async def count_later(to):
    for number in range(to):
        yield number


def parts(text):
    return text.split()


def fails(**arguments):
    raise SystemExit(1)


def fails_later(**arguments):
    yield 1
    raise ValueError


ROOM = Room(**{f.__name__: f for f in (add, add_later, count, count_later, parts, fails, fails_later)})
EVENTS = {"accept": "text/event-stream"}


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("add", {"a": 1, "b": 2}, 3),
        ("add_later", {"a": "x", "b": "y"}, "xy"),
        ("count", {"to": 3}, [0, 1, 2]),
        ("count_later", {"to": 3}, [0, 1, 2]),
        ("parts", {"text": "a b"}, ["a", "b"]),
        ("parts", {"text": "a"}, ["a"]),
    ],
)
def test_json_in_json_out(name, arguments, value):
    answer = ask(ROOM, "POST", f"/{name}", arguments)
    assert (answer.status, answer.json) == (200, value)


@pytest.mark.parametrize(
    ("name", "arguments", "values"),
    [
        ("count", {"to": 3}, [b"0", b"1", b"2"]),
        ("count_later", {"to": 3}, [b"0", b"1", b"2"]),
        ("add", {"a": 1, "b": 2}, [b"3"]),
        ("parts", {"text": "a b"}, [b'["a","b"]']),
    ],
)
def test_json_in_events_out(name, arguments, values):
    answer = ask(ROOM, "POST", f"/{name}", arguments, headers=EVENTS)
    assert answer.status == 200
    assert answer.frames == [*(b"data: %s\n\n" % value for value in values), b"event: end\ndata:\n\n"]


def test_errors_look_as_the_room_wants():
    answer = ask(ROOM, "POST", "/add", {"a": {"b": ["\0"]}})
    assert (answer.status, answer.json["where"]) == (400, "a.b[0]")
    assert ask(ROOM, "POST", "/add", {"a": "x" * 1000}).status == 413
    answer = ask(ROOM, "POST", "/add", {}, headers={"content-encoding": "br"})
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
    for headers in ({}, EVENTS):
        answer = ask(ROOM, "POST", "/fails", {}, headers=headers)
        assert (answer.status, answer.json) == (500, {"title": "it failed"})
    answer = ask(ROOM, "POST", "/fails_later", {}, headers=EVENTS)
    assert answer.frames == [b"data: 1\n\n", b"event: error\ndata: it failed\n\n"]
    assert [type(error) for error in ROOM.reported] == [SystemExit, SystemExit, ValueError]


@pytest.mark.parametrize("headers", [{}, EVENTS])
def test_a_visitor_who_leaves_ends_the_call(headers):
    closed = []

    async def endless():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def run():
        leaving = asyncio.Event()
        room = Room(endless=endless)
        visiting = asyncio.ensure_future(visit(room, "POST", "/endless", {}, leaving=leaving, headers=headers))
        for _ in range(20):
            await asyncio.sleep(0)
        leaving.set()
        await until(lambda: closed)
        await visiting

    asyncio.run(run())


@pytest.mark.parametrize("path", sorted(Path(portico.calls.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_here_speaks_for_a_room(path):
    found = re.findall(r"(?i)openai|\bmodels?\b|\bchat\b|completions?\b|APIError", path.read_text("utf-8"))
    assert found == []
