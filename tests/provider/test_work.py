"""What is done on a provider's loop: waited for where that can be, and told where it cannot."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from portico.calls.log import Log
from portico.errors import Refused
from portico.provider.thread import LoopThread
from portico.provider.work import Work
from tests.transports.recorder import run
from tests.waiting import eventually, until


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread()
    yield made
    made.stop()


async def refused() -> None:
    raise Refused("not here")


def test_from_another_thread_it_is_waited_for(thread: LoopThread) -> None:
    where: list[str] = []

    async def there() -> None:
        await asyncio.sleep(0)
        where.append(threading.current_thread().name)

    work = Work(thread)
    work.do(there())
    assert where == ["portico"]
    log = Log("app")
    with pytest.raises(Refused, match="not here"):
        work.do(refused(), log)
    assert len(log) == 0, "who waited has it"


def test_on_the_loop_itself_it_is_begun_and_its_failure_is_in_the_log() -> None:
    async def on_it() -> None:
        work, log, done = Work(LoopThread.adopt(asyncio.get_running_loop())), Log("app"), []
        log.subscribe(lambda entry: done.append(entry.summary))

        async def slow() -> None:
            await asyncio.sleep(0)
            done.append("slow")

        work.do(slow(), log)
        work.do(refused(), log)
        assert done == []
        await until(lambda: len(done) == 2)
        assert sorted(done) == ["portico.errors.Refused: not here", "slow"]

    run(on_it)


def test_begun_from_another_thread_nobody_waits(thread: LoopThread) -> None:
    work, log = Work(thread), Log("app")
    log.subscribe(lambda entry: None)
    work.begin(refused(), log)
    eventually(lambda: len(log) == 1)
    assert log[0].doing == "starting the app"


def test_what_nobody_expected_is_logged_and_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def on_it() -> None:
        work = Work(LoopThread.adopt(asyncio.get_running_loop()))

        async def broken() -> None:
            raise ZeroDivisionError

        work.begin(broken())
        await until(lambda: "a task of the provider failed" in caplog.text)
        assert not work._tasks

    run(on_it)
