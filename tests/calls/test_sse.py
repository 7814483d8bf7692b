"""A streamed answer: its head, its frames, its signs of life, and each way in which it ends."""

import asyncio

import pytest

from portico.calls.exchange import Exchange
from portico.calls.sse import AnswerStream, ClientLeft, data, deliver
from portico.errors import PorticoError, UnusableRequest
from tests.waiting import until


class Answer:
    """Writes what *steps* yields; an exception among them leaves `make`."""

    def __init__(self, exchange, steps, opening=()):
        self.exchange = exchange
        self.steps = steps
        self.told = []
        self._opening = list(opening)

    def opening(self):
        return self._opening

    async def make(self, write):
        async for step in self.steps():
            await write(step)
        return [b"last but one", b"last"]

    def failed(self, error):
        self.told.append(error)
        return UnusableRequest("told", 418)

    async def refuse(self, error: PorticoError):
        await self.exchange.json({"refused": str(error)}, error.status)

    def failure(self, error):
        return [f"failed: {error}".encode(), b"end"]

    def beat(self):
        return b"beat"


def sending(sent, fails=lambda message: False):
    async def send(message):
        if fails(message):
            raise OSError("gone")
        sent.append(message)

    return send


def delivered(steps, interval=0.0, fails=lambda message: False, **options):
    """What was sent, as the status and the pieces, and what the author was told."""
    sent = []

    async def run():
        exchange = Exchange({"type": "http", "headers": []}, None, sending(sent, fails), [])
        answer = Answer(exchange, steps, **options)
        await asyncio.wait_for(deliver(exchange, answer, interval), 20)
        assert len(asyncio.all_tasks()) == 1
        return answer.told

    told = asyncio.run(run())
    status = sent[0]["status"] if sent else None
    return status, [message["body"] for message in sent[1:]], told, sent


async def two():
    yield b"one"
    yield b"two"


async def nothing():
    for step in ():
        yield step


async def fails_at_once():
    raise ValueError
    yield


async def fails_later():
    yield b"one"
    raise SystemExit


def test_frames_go_out_one_by_one_and_the_last_one_ends_it():
    status, pieces, told, sent = delivered(two, opening=[b"opening"])
    assert (status, told) == (200, [])
    assert pieces == [b"opening", b"one", b"two", b"last but one", b"last"]
    assert [message["more_body"] for message in sent[1:]] == [True, True, True, True, False]
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"cache-control"] == b"no-cache"


def test_an_answer_of_nothing_is_a_whole_stream():
    status, pieces, told, _ = delivered(nothing, opening=[b"opening"])
    assert (status, pieces, told) == (200, [b"opening", b"last but one", b"last"], [])


def test_an_early_failure_has_its_own_status():
    status, pieces, told, _ = delivered(fails_at_once, opening=[b"opening"])
    assert status == 418
    assert pieces == [b'{"refused":"told"}']
    assert [type(error) for error in told] == [ValueError]


def test_a_later_failure_is_told_in_the_stream():
    status, pieces, told, sent = delivered(fails_later)
    assert (status, pieces) == (200, [b"one", b"failed: told", b"end"])
    assert [type(error) for error in told] == [SystemExit]
    assert sent[-1]["more_body"] is False


@pytest.mark.parametrize("part", [b"one", b"last but one", b"last"])
def test_a_visitor_who_has_left_is_no_failure(part):
    _, pieces, told, _ = delivered(two, fails=lambda message: message.get("body") == part)
    assert told == []
    assert part not in pieces


def silence_until(said):
    """Steps that come only once *said* has something in it."""

    async def steps():
        await until(lambda: said)
        yield b"one"

    return steps


@pytest.mark.parametrize("then", ["an answer", "a failure"])
def test_signs_of_life_while_nothing_comes(then):
    sent = []

    async def steps():
        await until(lambda: sum(message.get("body") == b"beat" for message in sent) >= 2)
        if then == "a failure":
            raise ValueError
        yield b"one"

    async def run():
        exchange = Exchange({"type": "http", "headers": []}, None, sending(sent), [])
        await deliver(exchange, Answer(exchange, steps, [b"opening"]), 0.01)

    asyncio.run(run())
    pieces = [message["body"] for message in sent[1:]]
    assert sent[0]["status"] == 200  # whatever comes of it
    assert pieces[:3] == [b"opening", b"beat", b"beat"]
    assert pieces[-1] == (b"last" if then == "an answer" else b"end")


def test_no_sign_of_life_where_none_is_wanted():
    async def run():
        loop = asyncio.get_running_loop()
        scheduled = len(loop._scheduled)
        stream = AnswerStream(None, None, None, 0)
        assert len(loop._scheduled) == scheduled
        stream.drop()

    asyncio.run(run())


def test_the_visitors_pace_is_the_functions():
    """Nothing more is asked for while a frame is being written."""
    asked = []
    gates = [asyncio.Event() for _ in range(3)]

    async def steps():
        for number in range(3):
            asked.append(number)
            yield b"%d" % number

    async def run():
        async def open():
            """Nothing goes before."""

        async def emit(frame):
            await gates[int(frame)].wait()

        stream = AnswerStream(open, emit, lambda: b"", 0)
        filling = asyncio.ensure_future(stream.fill(Answer(None, steps)))
        for number in range(3):
            await until(lambda number=number: len(asked) == number + 1)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(asked) == number + 1
            gates[number].set()
        assert await filling == [b"last but one", b"last"]
        stream.drop()

    asyncio.run(run())


def test_a_write_to_a_visitor_who_has_left():
    async def run():
        async def emit(frame):
            raise ConnectionResetError

        async def open():
            raise BrokenPipeError

        for first in (open, emit):
            stream = AnswerStream(first if first is open else _nothing, emit, lambda: b"", 0)
            with pytest.raises(ClientLeft):
                await stream.write(b"x")
            stream.drop()

    asyncio.run(run())


async def _nothing():
    """Opens nothing."""


def test_an_event():
    assert data({"a": "\u00e9\n"}) == b'data: {"a":"\\u00e9\\n"}\n\n'
