"""The provider's loop and its thread: nothing that apps raise ends it, and where it ends all the same, that is told."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from portico.calls.log import Log
from portico.calls.loops import contain, run_to_the_end
from portico.calls.owner import OWNER
from portico.errors import LinkClosed
from portico.provider.thread import LoopThread
from tests.waiting import until

ENDS = (SystemExit, KeyboardInterrupt)


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture
def log() -> Log:
    log = Log("app")
    OWNER.set(log)
    return log


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    yield
    OWNER.set(None)


def _raise(error: BaseException) -> None:
    raise error


async def _raising(error: BaseException) -> None:
    raise error


def _in_a_task(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    task = loop.create_task(_raising(error))
    task.add_done_callback(lambda task: task.exception())


def _in_a_callback(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    loop.call_soon(_raise, error)


def _at_a_time(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    loop.call_later(0.001, _raise, error)


def _when_a_task_is_done(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    loop.create_task(asyncio.sleep(0)).add_done_callback(lambda _: _raise(error))


def _when_a_future_is_done(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    future = loop.run_in_executor(None, int)
    future.add_done_callback(lambda _: _raise(error))


WAYS = (_in_a_task, _in_a_callback, _at_a_time, _when_a_task_is_done, _when_a_future_is_done)
Way = Callable[[asyncio.AbstractEventLoop, BaseException], None]


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_the_loop_goes_on_and_the_owner_is_told(
    thread: LoopThread, log: Log, way: Way, kind: type[BaseException]
) -> None:
    reported = threading.Event()
    log.subscribe(lambda _: reported.set())
    loop = thread.start()
    loop.call_soon_threadsafe(way, loop, kind("mine"))
    assert reported.wait(10)
    assert "mine" in log[0].traceback
    assert thread.run(asyncio.sleep(0, "goes on"), 10) == "goes on"
    assert thread.loop is loop


def test_a_loop_that_the_app_stops_goes_on(thread: LoopThread) -> None:
    loop = thread.start()
    for _ in range(3):
        loop.call_soon_threadsafe(loop.stop)
        assert thread.run(asyncio.sleep(0, "goes on"), 10) == "goes on"


def _end(thread: LoopThread) -> None:
    """Let the loop fail to wait, once, as when its files are taken away from under it."""
    loop = thread.start()
    selector = loop._selector  # type: ignore[attr-defined]
    select = selector.select

    def fail(timeout: float | None = None) -> None:
        selector.select = select
        raise OSError(9, "Bad file descriptor")

    loop.call_soon_threadsafe(setattr, selector, "select", fail)


def test_a_thread_that_dies_is_told_and_another_takes_its_place(thread: LoopThread) -> None:
    told: list[tuple[str, bool]] = []
    died = threading.Event()

    def on_death(why: str, forked: bool) -> None:
        told.append((why, forked))
        died.set()

    thread.on_death = on_death
    first = thread.start()
    waiting = thread.submit(asyncio.sleep(60))
    thread.run(asyncio.sleep(0))
    _end(thread)
    with pytest.raises(LinkClosed, match="the provider's thread ended"):
        waiting.result(10)
    assert died.wait(10)
    assert [forked for _, forked in told] == [False]
    assert thread.run(asyncio.sleep(0, "again"), 10) == "again"
    assert thread.loop is not first


def test_the_stop_of_a_thread_is_no_death(thread: LoopThread) -> None:
    told: list[str] = []
    thread.on_death = lambda why, _: told.append(why)
    thread.start()
    thread.stop()
    assert told == []
    assert thread.run(asyncio.sleep(0, "again"), 10) == "again"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_gets_a_thread_of_its_own() -> None:
    code = """
import asyncio, os, sys
from portico.provider.thread import LoopThread
thread = LoopThread()
told = []
thread.on_death = lambda why, forked: told.append(forked)
thread.start()
child = os.fork()
fine = thread.run(asyncio.sleep(0, "fine"), 20) == "fine"
if child == 0:
    os._exit(0 if fine and told == [True] else 1)
_, status = os.waitpid(child, 0)
sys.exit(0 if fine and told == [] and status == 0 else 1)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_loop_of_others_is_not_ended_by_a_services_code(log: Log, way: Way, kind: type[BaseException]) -> None:
    async def program() -> str:
        loop = asyncio.get_running_loop()
        contain(loop)
        contain(loop)
        reported = asyncio.Event()
        log.subscribe(lambda _: reported.set())
        way(loop, kind("mine"))
        await reported.wait()
        return "goes on"

    assert asyncio.run(program()) == "goes on"
    assert len(log) == 1


def test_a_loop_of_others_is_ended_by_their_own_code() -> None:
    async def program() -> None:
        contain(asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(_raise, SystemExit(3))
        await asyncio.sleep(60)

    with pytest.raises(SystemExit):
        asyncio.run(program())


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("uv", [False, True])
def test_a_program_on_a_loop_of_ours_goes_on(log: Log, way: Way, kind: type[BaseException], uv: bool) -> None:
    """Ctrl-C is handled by the loop there, as `portico serve` has it."""
    if uv:
        uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop() if uv else asyncio.new_event_loop()
    ended: list[BaseException] = []

    async def program() -> str:
        import signal

        loop.add_signal_handler(signal.SIGINT, lambda: None)
        try:
            way(loop, kind("mine"))
            await until(lambda: ended)
            return "goes on"
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    task = loop.create_task(program(), context=contextvars.copy_context())
    try:
        assert run_to_the_end(loop, task, lambda error: ended.append(error) is not None) == "goes on"
        assert len(ended) == 1
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_what_is_collected_on_another_thread_is_reported_on_the_loop(thread: LoopThread) -> None:
    """The thread that collects it may be the one that logging waits for, as a kernel's that shows output is."""
    reported = threading.Event()

    class Reported(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.threadName)
            reported.set()

    async def dropped() -> None:
        task = asyncio.create_task(_raising(ValueError("nobody looks")))
        await asyncio.wait([task])
        held.append(task)

    records: list[str | None] = []
    held: list[asyncio.Task[None]] = []
    handler = Reported()
    logging.getLogger("asyncio").addHandler(handler)
    try:
        thread.run(dropped())
        held.clear()
        gc.collect()
        assert reported.wait(10)
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
    assert records == ["portico"]
