"""The budget of visitors' unfinished messages: bounded, fair to whoever finishes, and no wait for whoever does not."""

from __future__ import annotations

import asyncio

import pytest

from portico.hub.unfinished import FREE, Unfinished
from tests.waiting import turns, until

KIB = 1024


class Socket:
    def __init__(self, budget: Unfinished) -> None:
        self.budget = budget
        self.size = 0
        self.paused = False
        self.cut = False
        self.was_cut = asyncio.Event()

    def take(self, size: int) -> bool:
        """As if so much more had come of its message. False: it was paused before."""
        if self.paused or self.cut:
            return False
        self.size += size
        self.paused = not self.budget.hold(self, self.size)
        return True

    def finish(self) -> None:
        self.size = 0
        self.budget.hold(self, 0)

    def read_on(self) -> None:
        self.paused = False

    def cut_off(self) -> None:
        self.cut = True
        self.was_cut.set()


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_short_messages_are_let_be() -> None:
    budget = Unfinished(most=0)
    sockets = [Socket(budget) for _ in range(100)]
    assert all(socket.take(FREE) for socket in sockets)
    assert not any(socket.paused for socket in sockets)
    assert budget.total == 0


async def test_what_all_hold_is_bounded() -> None:
    budget = Unfinished(most=1000 * KIB)
    sockets = [Socket(budget) for _ in range(20)]
    for _ in range(100):
        for socket in sockets:
            socket.take(100 * KIB)
    oldest, *others = sockets
    assert oldest.size == 100 * 100 * KIB
    assert sum(socket.size for socket in others) <= 1000 * KIB + 20 * 100 * KIB
    assert budget.total == sum(socket.size for socket in sockets)
    for socket in sockets:
        budget.free(socket)
    assert budget.total == 0


async def test_one_after_the_other_comes_to_its_end() -> None:
    budget = Unfinished(most=200 * KIB)
    sockets = [Socket(budget) for _ in range(10)]
    done: list[Socket] = []
    while len(done) < 10:
        went_on = False
        for socket in sockets:
            if socket not in done:
                went_on = socket.take(100 * KIB) or went_on
                if socket.size >= 2000 * KIB and not socket.paused:
                    socket.finish()
                    done.append(socket)
        assert went_on, "nobody may read on"
    assert budget.total == 0


async def test_one_that_does_not_end_is_cut_while_others_wait() -> None:
    budget = Unfinished(most=200 * KIB, patience=0.05)
    first, second, third = (Socket(budget) for _ in range(3))
    for socket in (first, second, third):
        socket.take(150 * KIB)
    assert (first.paused, second.paused, third.paused) == (False, True, True)
    async with asyncio.timeout(10):
        await second.was_cut.wait()
    assert first.cut
    assert not third.cut
    assert not third.paused
    assert budget.total == third.size


async def test_one_alone_is_never_cut() -> None:
    """Though it waits as long as one that is cut since others wait too."""
    alone = Socket(Unfinished(most=0, patience=0.01))
    alone.take(10_000 * KIB)
    elsewhere = Unfinished(most=0, patience=0.01)
    first, second = Socket(elsewhere), Socket(elsewhere)
    for socket in (first, second):
        socket.take(10_000 * KIB)
    await until(lambda: first.cut)
    await turns()
    assert not alone.cut
    assert not alone.paused
