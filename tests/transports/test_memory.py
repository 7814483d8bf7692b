"""The in-memory pair."""

from __future__ import annotations

import asyncio

from portico.transports.memory import MemoryTransport, pair
from tests.waiting import until

from .recorder import Recorder, run


def started() -> tuple[MemoryTransport, MemoryTransport, Recorder, Recorder]:
    left, right = pair()
    here, there = Recorder(), Recorder()
    left.start(here)
    right.start(there)
    return left, right, here, there


def test_messages_arrive_in_order_in_a_later_turn() -> None:
    async def work() -> None:
        left, right, here, there = started()
        for number in range(100):
            left.send(b"%d" % number)
        right.send(b"back")
        assert there.messages == []
        await until(lambda: len(there.messages) == 100)
        assert there.messages == [b"%d" % number for number in range(100)]
        await until(lambda: here.messages == [b"back"])

    run(work)


def test_what_came_before_the_start_is_delivered() -> None:
    async def work() -> None:
        left, right = pair()
        left.send(b"early")
        left.close(1000, "bye")
        there = Recorder()
        right.start(there)
        await until(lambda: there.closed)
        assert there.messages == [b"early"]
        assert there.closed == ["closed (1000) bye"]

    run(work)


def test_a_reader_that_does_not_read_makes_the_writer_wait() -> None:
    async def work() -> None:
        left, right, here, there = started()
        right.paused = True
        sent = 0
        while left.writable:
            left.send(bytes(100_000))
            sent += 1
        assert 10 <= sent <= 11
        await asyncio.sleep(0)
        assert there.messages == []
        assert here.writable == 0
        right.resume()
        await until(lambda: here.writable)
        assert len(there.messages) == sent
        assert left.writable

    run(work)


def test_a_close_comes_after_what_was_sent_and_once_to_both_ends() -> None:
    async def work() -> None:
        left, right, here, there = started()
        left.send(b"last")
        left.close(1001, "going")
        left.close()
        left.send(b"too late")
        right.send(b"too late as well")
        await until(lambda: there.closed)
        await until(lambda: here.closed)
        assert there.messages == [b"last"]
        assert here.closed == there.closed == ["closed (1001) going"]
        left.close()
        right.cut()
        await asyncio.sleep(0)
        assert len(here.closed) == len(there.closed) == 1

    run(work)


def test_a_cut_loses_what_is_on_the_way() -> None:
    async def work() -> None:
        left, right, here, there = started()
        left.send(b"lost")
        right.cut()
        await until(lambda: there.closed)
        await until(lambda: here.closed)
        assert there.messages == []

    run(work)


def test_who_is_told_may_cut_or_close() -> None:
    async def work() -> None:
        for end in ("cut", "close"):
            left, right, here, there = started()

            class Ending(Recorder):
                def message_received(self, message: bytes, right: MemoryTransport = right, end: str = end) -> None:
                    super().message_received(message)
                    getattr(right, end)()

            ending = Ending()
            right._receiver = ending
            left.send(b"1")
            left.send(b"2")
            await until(lambda ending=ending: ending.closed)
            await until(lambda here=here: here.closed)
            assert ending.messages == ([b"1"] if end == "cut" else [b"1", b"2"])
            assert there.messages == []

    run(work)
