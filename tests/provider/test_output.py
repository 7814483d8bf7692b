"""The last of what a service's code writes is kept, beside where it goes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import io
import logging
import sys
import threading
from collections.abc import Callable

import pytest

from portico.calls.log import Log
from portico.calls.owner import OWNER
from portico.calls.owner_in_threads import carry
from portico.provider.output import keep_output


class Stream(io.StringIO):
    """One of Python's own, as a kernel's are."""

    def write(self, text: str) -> int:
        return super().write(text)


@pytest.fixture(params=["Python's", "C's"])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """To be called by the test, as pytest changes the streams between a fixture and its test: standard output and error
    of a program. Called again, it gives what was written there."""
    made = Stream() if request.param == "Python's" else io.TextIOWrapper(io.BytesIO(), write_through=True)

    def written() -> str:
        if sys.stdout is not made and getattr(sys.stdout, "_stream", None) is not made:
            monkeypatch.setattr(sys, "stdout", made)
            monkeypatch.setattr(sys, "stderr", made)
            keep_output()
            keep_output()
        return made.getvalue() if isinstance(made, Stream) else made.buffer.getvalue().decode()  # type: ignore[attr-defined]

    return written


def within(log: Log, *calls: Callable[[], object]) -> None:
    context = contextvars.copy_context()
    context.run(OWNER.set, log)
    for call in calls:
        context.run(call)


def test_it_is_kept_for_its_service_and_written_as_before(stream: Callable[[], str]) -> None:
    stream()
    one, two = Log("one"), Log("two")
    print("nobody's")
    within(one, lambda: print("of one"), lambda: sys.stderr.writelines(["a ", "line\n"]))
    within(two, lambda: logging.lastResort and logging.lastResort.emit(logging.makeLogRecord({"msg": "logged"})))
    assert one.output == "of one\na line\n"
    assert two.output == "logged\n"
    assert stream() == "nobody's\nof one\na line\nlogged\n"
    assert "of one" in repr(one)
    assert "nothing went wrong" not in repr(one)


def test_only_the_last_of_it_is_kept(stream: Callable[[], str]) -> None:
    stream()
    log = Log("app")
    within(log, *(lambda number=number: print(f"line {number}") for number in range(10_000)))  # type: ignore[misc]
    within(log, lambda: print("x" * 100_000 + "the end"))
    assert len(log.output) <= 20_000
    assert log.output.endswith("the end\n")
    log.clear()
    assert log.output == ""


def test_an_error_that_is_logged_for_want_of_a_listener_is_kept_once(stream: Callable[[], str]) -> None:
    stream()
    log = Log("app")
    within(log, lambda: log.report("GET /", ValueError("mine")))
    assert len(log) == 1
    assert log.output == ""


def test_a_log_of_which_nothing_came_says_so() -> None:
    assert repr(Log("app")) == "<log of app: nothing went wrong>"


def test_what_a_handler_of_before_writes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, other, log = Stream(), Stream(), Log("app")
    monkeypatch.setattr(sys, "stderr", stream)
    early, elsewhere = logging.StreamHandler(), logging.StreamHandler(other)
    keep_output()
    record = logging.makeLogRecord({"msg": "logged"})
    within(log, lambda: early.emit(record), lambda: elsewhere.emit(record))
    assert log.output == stream.getvalue() == other.getvalue() == "logged\n"


def _in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def _in_a_timer(work: Callable[[], None]) -> None:
    timer = threading.Timer(0, work)
    timer.start()
    timer.join()


def _in_a_thread_of_its_own_class(work: Callable[[], None]) -> None:
    class Thread(threading.Thread):
        def run(self) -> None:
            work()

    thread = Thread()
    thread.start()
    thread.join()


def _in_a_pool(work: Callable[[], None]) -> None:
    POOL.submit(work).result()


def _in_a_thread_of_a_thread(work: Callable[[], None]) -> None:
    _in_a_thread(lambda: _in_a_thread(work))


def _in_the_loops_pool(work: Callable[[], None]) -> None:
    async def run() -> None:
        await asyncio.get_running_loop().run_in_executor(None, work)

    asyncio.run(run())


POOL = concurrent.futures.ThreadPoolExecutor(1)
"""Whose thread works for all."""
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


def owned(log: Log) -> Log:
    log.context = contextvars.copy_context()
    log.context.run(OWNER.set, log)
    return log


@pytest.mark.parametrize(
    "start",
    [
        _in_a_thread,
        _in_a_timer,
        _in_a_thread_of_its_own_class,
        _in_a_pool,
        _in_a_thread_of_a_thread,
        _in_the_loops_pool,
    ],
)
def test_threads_that_the_code_makes_are_its_own(
    start: Callable[[Callable[[], None]], None], stream: Callable[[], str]
) -> None:
    stream()
    carry()
    carry()
    one, two = owned(Log("one")), owned(Log("two"))
    for log in (one, two, one):
        assert log.context is not None
        request = log.context.copy()
        request.run(VARIABLE.set, "a request's")
        request.run(start, lambda: print("printed", VARIABLE.get()))
    start(lambda: print("nobody's"))
    assert one.output == "printed \n" * 2
    assert two.output == "printed \n"
    assert stream() == "printed \n" * 3 + "nobody's\n"


@pytest.mark.parametrize("hooked", [False, True])
def test_what_ends_such_a_thread_is_reported(monkeypatch: pytest.MonkeyPatch, hooked: bool) -> None:
    carry()
    log, told = owned(Log("app")), []
    hook = (lambda given: told.append(given.exc_value)) if hooked else threading.__excepthook__
    monkeypatch.setattr(threading, "excepthook", hook)
    log.subscribe(lambda entry: None)
    assert log.context is not None
    log.context.copy().run(_in_a_thread, lambda: 1 // 0)
    log.context.copy().run(_in_a_thread, sys.exit)
    assert [(entry.doing, entry.summary.partition(":")[0]) for entry in log] == [("a thread", "ZeroDivisionError")]
    assert [type(error) for error in told] == [ZeroDivisionError, SystemExit] * hooked
